/*
 * trends.c
 *	  What has been going on of late: counts of the last few minutes, by pool, and what active connections were at.
 *
 * The window is a ring of parts. A tick adds to the newest one; when that has its length, the oldest is emptied and
 * becomes the newest. So the window is between its length and a part more, and what has left it is forgotten at once.
 *
 * The sampler's own memory, sized at its start; it publishes sums with its sample.
 */
#include "trends.h"

#include <string.h>

#define PARTS (POOLDIAG_TREND_PARTS + 1)

typedef struct Row
{
	uint16_t life; /* of the pool that has it */
	PoolDiagTrend parts[PARTS];
} Row;

typedef struct Event
{
	uint32_t event;
	uint32_t samples;
} Event;

typedef struct Part
{
	int64_t ticks;
	int64_t by_class[POOLDIAG_WAIT_CLASSES];
	int64_t refused[POOLDIAG_TREND_REASONS];
	int used;
	Event events[POOLDIAG_TREND_EVENTS];
} Part;

struct PoolDiagTrends
{
	int rows_count;
	int newest;
	double began; /* the newest part; negative: no part has begun */
	Part parts[PARTS];
	Row rows[];
};

/* The bytes of trends with that many rows. */
size_t
pooldiag_trends_size(int rows)
{
	return offsetof(PoolDiagTrends, rows) + sizeof(Row) * (size_t) rows;
}

void
pooldiag_trends_init(PoolDiagTrends *trends, int rows)
{
	memset(trends, 0, pooldiag_trends_size(rows));
	trends->rows_count = rows;
	trends->began = -1;
}

/* Forgets all that was counted. */
void
pooldiag_trends_forget(PoolDiagTrends *trends)
{
	pooldiag_trends_init(trends, trends->rows_count);
}

static void
begin_part(PoolDiagTrends *trends, double now)
{
	trends->newest = (trends->newest + 1) % PARTS;
	trends->began = now;
	memset(&trends->parts[trends->newest], 0, sizeof(Part));
	for (int i = 0; i < trends->rows_count; i++)
		memset(&trends->rows[i].parts[trends->newest], 0, sizeof(PoolDiagTrend));
}

/* A tick begins, at that second of a monotonic clock; what is added from now on belongs to it. */
void
pooldiag_trends_begin(PoolDiagTrends *trends, double now, double window_seconds)
{
	double part = window_seconds / POOLDIAG_TREND_PARTS;

	if (trends->began < 0 || now - trends->began >= window_seconds + part)
	{
		/* Nothing of what there is belongs to the window any more. */
		pooldiag_trends_forget(trends);
		trends->began = now;
	}
	while (now - trends->began >= part)
		begin_part(trends, trends->began + part);
	trends->parts[trends->newest].ticks++;
}

/* Adds what has come to a row in that many seconds. Another life of the row begins with nothing. */
void
pooldiag_trends_add(PoolDiagTrends *trends, int row, uint16_t life, double seconds, int connections,
					const int64_t *flows)
{
	Row *mine = &trends->rows[row];
	PoolDiagTrend *part = &mine->parts[trends->newest];

	if (mine->life != life)
	{
		memset(mine, 0, sizeof(*mine));
		mine->life = life;
	}
	if (seconds < 0)
		return;
	part->seconds += seconds;
	part->ticks++;
	part->connections += connections;
	for (int i = 0; i < POOLDIAG_FLOWS; i++)
		part->flows[i] += flows[i];
}

static void
add_event(Event *events, int room, int *used, uint32_t event, uint32_t samples)
{
	for (int i = 0; i < *used; i++)
		if (events[i].event == event)
		{
			events[i].samples += samples;
			return;
		}
	if (*used == room)
		return;
	events[*used].event = event;
	events[*used].samples = samples;
	(*used)++;
}

/* An active connection was seen in that wait event; 0: on CPU. */
void
pooldiag_trends_active(PoolDiagTrends *trends, uint32_t event)
{
	Part *part = &trends->parts[trends->newest];

	part->by_class[POOLDIAG_WAIT_CLASS(event)]++;
	if (event != 0)
		add_event(part->events, POOLDIAG_TREND_EVENTS, &part->used, event, 1);
}

void
pooldiag_trends_refused(PoolDiagTrends *trends, int reason, int64_t count)
{
	trends->parts[trends->newest].refused[reason] += count;
}

/* What a row has done in the window. */
void
pooldiag_trends_of(const PoolDiagTrends *trends, int row, uint16_t life, PoolDiagTrend *trend)
{
	const Row *mine = &trends->rows[row];

	memset(trend, 0, sizeof(*trend));
	if (mine->life != life)
		return;
	for (int p = 0; p < PARTS; p++)
	{
		const PoolDiagTrend *part = &mine->parts[p];

		trend->seconds += part->seconds;
		trend->ticks += part->ticks;
		trend->connections += part->connections;
		for (int i = 0; i < POOLDIAG_FLOWS; i++)
			trend->flows[i] += part->flows[i];
	}
}

/* What active connections were at in the window. */
void
pooldiag_trends_activity(const PoolDiagTrends *trends, PoolDiagActivity *activity)
{
	Event events[PARTS * POOLDIAG_TREND_EVENTS];
	int used = 0;

	memset(activity, 0, sizeof(*activity));
	for (int p = 0; p < PARTS; p++)
	{
		const Part *part = &trends->parts[p];

		activity->ticks += part->ticks;
		for (int c = 0; c < POOLDIAG_WAIT_CLASSES; c++)
		{
			activity->by_class[c] += part->by_class[c];
			activity->active += part->by_class[c];
		}
		for (int i = 0; i < part->used; i++)
			add_event(events, PARTS * POOLDIAG_TREND_EVENTS, &used, part->events[i].event,
					  part->events[i].samples);
	}
	for (int i = 0; i < used; i++)
	{
		int class = POOLDIAG_WAIT_CLASS(events[i].event);

		if (events[i].samples > activity->top_samples[class])
		{
			activity->top_samples[class] = events[i].samples;
			activity->top_event[class] = events[i].event;
		}
	}
}

/* Connections that were refused in the window, for that reason. */
int64_t
pooldiag_trends_refusals(const PoolDiagTrends *trends, int reason)
{
	int64_t refused = 0;

	for (int p = 0; p < PARTS; p++)
		refused += trends->parts[p].refused[reason];
	return refused;
}
