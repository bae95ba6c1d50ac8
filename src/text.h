/*
 * text.h
 *	  Texts that came from elsewhere: encodings, control characters, widths on a terminal.
 */
#ifndef POOLDIAG_TEXT_H
#define POOLDIAG_TEXT_H

extern bool pooldiag_text_is_clean(const char *bytes);
extern char *pooldiag_text_clean(const char *bytes);
extern char *pooldiag_text_from(const char *bytes, int length, int encoding);
extern char *pooldiag_text_printable(const char *text);
extern int pooldiag_text_width(const char *text);
extern int pooldiag_text_bytes_in(const char *text, int columns);
extern char *pooldiag_text_fit(const char *text, int columns);
extern bool pooldiag_text_draws(void);

#endif /* POOLDIAG_TEXT_H */
