/*
 * database make FILE SCRIPT: makes a database.
 * database FILE SCRIPT [WINDOW]: asks it the questions of a script: the first ones, then all of them, which is measured.
 * Prints the checksum of the answers.
 */
#include "measure.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP	2

/* SQL's mix(K, SALT, N): a fixed random number below N. */
static void mix(sqlite3_context *context, int count, sqlite3_value **values)
{
	uint64_t number = sqlite3_value_int64(values[0]) * UINT64_C(0x9e3779b97f4a7c15);

	(void)count;
	number += sqlite3_value_int64(values[1]) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	number ^= number >> 31;
	sqlite3_result_int64(context, (number >> 1) % (uint64_t)sqlite3_value_int64(values[2]));
}

static char *text_of(const char *path)
{
	static char text[65536];
	FILE *file = fopen(path, "r");

	must(file && fread(text, 1, sizeof(text) - 1, file) > 0, path);
	fclose(file);
	return text;
}

static void works(sqlite3 *database, int result)
{
	if (result == SQLITE_OK || result == SQLITE_DONE)
		return;
	fprintf(stderr, "database: %s\n", sqlite3_errmsg(database));
	exit(1);
}

/* Executes the statement that `text` begins with, and adds the rows to a checksum; what stands behind it. */
static const char *execute(sqlite3 *database, const char *text, uint64_t *sum)
{
	sqlite3_stmt *statement;
	int result;

	works(database, sqlite3_prepare_v2(database, text, -1, &statement, &text));
	while ((result = sqlite3_step(statement)) == SQLITE_ROW)
		for (int column = 0; column < sqlite3_column_count(statement); column++) {
			const char *value = (const char *)sqlite3_column_text(statement, column);

			if (value)
				*sum = sum_of(*sum, value, strlen(value) + 1);
		}
	works(database, result);
	sqlite3_finalize(statement);
	return text + strspn(text, "\n");
}

static sqlite3 *database_at(const char *path, int flags)
{
	sqlite3 *database;

	works(NULL, sqlite3_open_v2(path, &database, flags, NULL));
	works(database, sqlite3_create_function(database, "mix", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, mix, NULL, NULL));
	return database;
}

static void ask(sqlite3 *database, const char *script, int window)
{
	const char *text = script;
	uint64_t sum = SUM_START;
	unsigned long count = 0;

	for (int question = 0; question < WARM_UP; question++)
		text = execute(database, text, &sum);
	if (window)
		measure_settle();
	measure_begin(window);
	for (text = script; *text; count++)
		text = execute(database, text, &sum);
	measure_end(window, "database", count);
	printf("result %016lx\n", (unsigned long)sum);
}

int main(int argc, char **argv)
{
	uint64_t sum = SUM_START;

	must(argc > 2, "usage: database [make] FILE SCRIPT [WINDOW]");
	if (strcmp(argv[1], "make") == 0) {
		sqlite3 *database = database_at(argv[2], SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

		for (const char *text = text_of(argv[3]); *text;)
			text = execute(database, text, &sum);
		sqlite3_close(database);
	} else {
		ask(database_at(argv[1], SQLITE_OPEN_READONLY), text_of(argv[2]), argc > 3 ? atoi(argv[3]) : 0);
	}
	return 0;
}
