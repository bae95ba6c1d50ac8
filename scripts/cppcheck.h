/*
 * cppcheck.h
 *	  What cppcheck has to know of the server's headers, which it doesn't read.
 */
#define PG_VERSION_NUM 150000
#define PG_MODULE_MAGIC extern int pooldiag_magic
#define PG_FUNCTION_INFO_V1(function) extern int pooldiag_info
#define PGDLLEXPORT

#define foreach(cell, list) for (cell = list_head(list); cell != NULL; cell = lnext(list, cell))

#define PG_TRY() { if (setjmp()) {
#define PG_CATCH() } else {
#define PG_FINALLY() } {
#define PG_END_TRY() } }
