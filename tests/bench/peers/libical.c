/* libical beside calgate: parse and print of files, and the instances of rules in a window.
 *
 * libical text FILE...          prints: MB/s of parsing, MB/s of printing
 * libical rule RRULE DTSTART FROM   prints: windows a second, instances in 90 days from FROM; times as 20060102T090000
 */
#include <libical/ical.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static char *slurp(const char *name, long *length) {
  FILE *f = fopen(name, "rb");
  if (!f) { perror(name); exit(1); }
  fseek(f, 0, SEEK_END);
  *length = ftell(f);
  rewind(f);
  char *text = malloc(*length + 1);
  if (fread(text, 1, *length, f) != (size_t)*length) exit(1);
  text[*length] = 0;
  fclose(f);
  return text;
}

static int text(int count, char **names) {
  double parsing = 0, printing = 0, in = 0, out = 0;
  char **texts = calloc(count, sizeof *texts);
  for (int i = 0; i < count; i++) {
    long length;
    texts[i] = slurp(names[i], &length);
  }
  while (parsing + printing < 1.5) {
    for (int i = 0; i < count; i++) {
      double begun = now();
      icalcomponent *c = icalparser_parse_string(texts[i]);
      parsing += now() - begun;
      if (!c) continue;
      in += strlen(texts[i]);
      begun = now();
      char *again = icalcomponent_as_ical_string_r(c);
      printing += now() - begun;
      out += strlen(again);
      free(again);
      icalcomponent_free(c);
    }
  }
  printf("%f %f\n", in / parsing / 1e6, out / printing / 1e6);
  return 0;
}

static int rule(const char *rule, const char *start, const char *from) {
  struct icaltimetype first = icaltime_from_string(start), begin = icaltime_from_string(from);
  time_t end = icaltime_as_timet(begin) + 90 * 86400, low = icaltime_as_timet(begin);
  int windows = 0, seen = 0;
  double begun = now();
  while (now() - begun < 1.0) {
    struct icalrecurrencetype r = icalrecurrencetype_from_string(rule);
    icalrecur_iterator *it = icalrecur_iterator_new(r, first);
    /* set_start jumps; the walk from DTSTART is what a program without it does */
    if (getenv("JUMP")) icalrecur_iterator_set_start(it, begin);
    seen = 0;
    for (;;) {
      struct icaltimetype t = icalrecur_iterator_next(it);
      if (icaltime_is_null_time(t)) break;
      time_t at = icaltime_as_timet(t);
      if (at >= end) break;
      if (at >= low) seen++;
    }
    icalrecur_iterator_free(it);
    windows++;
  }
  printf("%f %d\n", windows / (now() - begun), seen);
  return 0;
}

int main(int count, char **arguments) {
  if (count > 2 && !strcmp(arguments[1], "text")) return text(count - 2, arguments + 2);
  if (count == 5 && !strcmp(arguments[1], "rule")) return rule(arguments[2], arguments[3], arguments[4]);
  fprintf(stderr, "libical text FILE... | libical rule RRULE DTSTART FROM\n");
  return 2;
}
