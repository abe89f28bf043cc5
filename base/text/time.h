/* Time as text: RFC 3339 both ways, without libc's zones and locks, and durations and sizes for
 * people. Times are microseconds since 1970, UTC; years 0 to 9999. */
#ifndef BASE_TEXT_TIME_H
#define BASE_TEXT_TIME_H

#include <stddef.h>
#include <stdint.h>

struct mr_civil {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
    int hour;
    int minute;
    int second;
    int microsecond;
    int weekday;  /* 0: Sunday */
    int year_day; /* 0 to 365 */
};

/* Both directions of the proleptic Gregorian calendar. mr_civil_to_us takes any month and day
 * within their bounds and ignores weekday and year_day. */
void mr_civil_from_us(int64_t time_us, struct mr_civil *ret_civil);
int64_t mr_civil_to_us(const struct mr_civil *civil);

enum { MR_TIME_TEXT_SIZE = 32 };
enum mr_time_digits { MR_TIME_SECONDS = 0, MR_TIME_MILLIS = 3, MR_TIME_MICROS = 6 };

/* "2026-03-01T12:00:00.123Z"; returns the length. Times outside of years 0 to 9999 are clamped. */
size_t mr_time_format(int64_t time_us, enum mr_time_digits digits, char text[MR_TIME_TEXT_SIZE]);

/* Reads an RFC 3339 date-time at the start of text: T, t or a space between date and time, a
 * fraction after . or , of any length (cut to microseconds), Z, z or an offset, with or without its
 * colon. Second 60 is the next minute's 0. *ret_size is what was read. 0, or MR_EINVAL. */
int mr_time_parse(const char *text, size_t size, int64_t *ret_time_us, size_t *ret_size);

enum { MR_HUMAN_TEXT_SIZE = 32 };
/* Two units at most, for reading, not for parsing: "0ms", "450ms", "3.2s", "1m 5s", "2h 10m", "3d
 * 4h". Negative durations get a minus. */
void mr_duration_human(int64_t duration_us, char text[MR_HUMAN_TEXT_SIZE]);
/* Three digits: "512 B", "1.50 KiB", "64.0 MiB", "10.2 GiB". */
void mr_size_human(int64_t size_bytes, char text[MR_HUMAN_TEXT_SIZE]);

#endif
