/*
 * fuzz_metrics.c
 *	  Texts from strangers as the labels of metrics: what is written is read back by a parser of its own.
 *
 * link: openmetrics.c
 *
 * The first byte says which format; the rest is cut at each zero byte into the values of labels.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openmetrics.h"

#define LABELS 3
#define OUT_LEN 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[LABELS] = {"a", "state", "wait_event"};
static char out[OUT_LEN];
static size_t out_length;

static void
put(void *unused, const char *bytes, size_t length)
{
	(void) unused;
	assert(length <= OUT_LEN - 1 - out_length);
	memcpy(out + out_length, bytes, length);
	out_length += length;
}

/* Reads NAME="VALUE" at text; the value, unescaped, goes into value. Returns what comes behind it. */
static const char *
read_label(const char *text, const char *name, char *value)
{
	size_t length = strlen(name);

	assert(strncmp(text, name, length) == 0);
	text += length;
	assert(text[0] == '=' && text[1] == '"');
	for (text += 2; *text != '"'; text++)
	{
		char byte = *text;

		assert((unsigned char) byte >= 0x20 && byte != 0x7f);
		if (byte == '\\')
		{
			byte = *++text;
			assert(byte == '\\' || byte == '"' || byte == 'n');
			if (byte == 'n')
				byte = '\n';
		}
		*value++ = byte;
	}
	*value = '\0';
	return text + 1;
}

/* What must be read back: control characters but newlines are question marks. */
static void
expect(const char *value, const char *read, bool all_fit)
{
	size_t length = strlen(read);

	assert(length <= strlen(value));
	for (size_t i = 0; i < length; i++)
	{
		unsigned char byte = (unsigned char) value[i];

		if (byte != '\n' && (byte < 0x20 || byte == 0x7f))
			byte = '?';
		assert(byte == (unsigned char) read[i]);
	}
	/* Cut only where there was no room. */
	assert(length == strlen(value) || !all_fit);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;
	char *values[LABELS];
	char *rest;
	char read[POOLDIAG_LABELS_LEN + 1];
	const char *at;
	PoolDiagLabels labels = {0};
	PoolDiagMetrics metrics;
	char buffer[100];
	size_t room = 0;
	bool all_fit;

	if (size == 0)
		return 0;
	text = malloc(size + LABELS);
	memcpy(text, data + 1, size - 1);
	memset(text + size - 1, 0, LABELS + 1);
	rest = text;
	for (int i = 0; i < LABELS; i++)
	{
		values[i] = rest;
		if (rest < text + size - 1)
			rest += strlen(rest) + 1;
	}
	for (int i = 0; i < LABELS; i++)
	{
		room += 2 * strlen(values[i]) + strlen(names[i]) + 4;
		pooldiag_labels_add(&labels, names[i], values[i]);
	}
	all_fit = room <= sizeof(labels.text);
	assert(labels.length <= sizeof(labels.text));

	out_length = 0;
	pooldiag_metrics_begin(&metrics, data[0] & 1, buffer, sizeof(buffer), put, NULL);
	pooldiag_metrics_family(&metrics, "pooldiag_fuzz", POOLDIAG_METRIC_GAUGE, NULL, "Help.");
	pooldiag_metrics_int(&metrics, &labels, 42);
	pooldiag_metrics_end(&metrics);
	out[out_length] = '\0';

	at = strstr(out, "\npooldiag_fuzz{");
	assert(at != NULL);
	at += strlen("\npooldiag_fuzz{");
	for (int i = 0; i < LABELS; i++)
	{
		/* Where there was no room for a name any more, there is none of the rest. */
		if (*at == '}')
			break;
		if (i > 0)
		{
			assert(*at == ',');
			at++;
		}
		at = read_label(at, names[i], read);
		expect(values[i], read, all_fit);
	}
	assert(strncmp(at, "} 42\n", 5) == 0);
	assert(strcmp(at + 5, data[0] & 1 ? "# EOF\n" : "") == 0);
	free(text);
	return 0;
}
