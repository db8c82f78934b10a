/* Puts load on a server that speaks RESP2 and costs little itself: requests are prepared before the clock starts, and
   replies are only counted.

       generator -p PORT [-c CONNECTIONS] [-d DEPTH] [-n REQUESTS | -s SECONDS] [-k KEYS] [-t PATIENCE] WORD...

   Each connection sends DEPTH requests at once, waits for their replies, and sends the next. The words are those of the
   request; "{random}" in a word stands for twelve digits below KEYS, different ones in each request; a word ";" ends a
   command, so that a request can be several, which are replied to one by one. After REQUESTS requests, or once SECONDS
   are over, nothing more is sent; the replies still awaited are waited for.

   Prints a JSON object in one line: requests (that were replied to), seconds, nulls (replies or elements that were null), cpu_us
   and kernel_us (of this process, for each request) and p50_us, p99_us, p999_us, longest_us: the time from a batch's
   departure to its last reply, which is that of a request at depth 1.
   Exit status 1, and a line that says why: an error reply, what is no RESP, a closed connection, more replies than
   requests, or none for PATIENCE seconds. 2: the command line.

   Invariants:
   1. All requests have the same size, so that any run of them in the pool is a batch; the pool never changes.
   2. `awaited` is the number of replies of the batch that are still to come; a batch leaves when it is 0.
   3. `elements` is the number of values that the reply being read still lacks, 0 between two replies; `skip` the bytes
      that a bulk string still lacks. An unfinished line is kept in `line` and read again with what follows it.
   4. A reply that is byte for byte the last one is counted without being parsed: neither an error nor a null is. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

enum {
    DIGITS = 12,
    POOL_REQUESTS = 1 << 16,
    POOL_BYTES = 64 << 20,
    INPUT_BYTES = 1 << 16,
    LINE_BYTES = 1 << 10, /* a longer line is none that is expected */
    SAME_BYTES = 1 << 9,
    EVENTS = 64,
    STEPS = 128, /* of the histogram in each power of two: one percent */
};

static const char RANDOM[] = "{random}", NEXT[] = ";";

struct connection {
    int socket;
    const char *unsent;
    size_t unsent_bytes;
    size_t next; /* request of the pool with which the next batch begins */
    uint32_t awaited;
    uint64_t departed_ns;
    uint64_t elements;
    uint64_t skip;
    size_t line_bytes;
    char line[LINE_BYTES];
};

struct options {
    int port;
    uint32_t connections, depth;
    uint64_t requests; /* 0: until the seconds are over */
    double seconds;
    uint64_t keys;
    int patience_ms;
};

static struct options options = {.connections = 50, .depth = 1, .keys = 100000, .patience_ms = 10000};
static char *pool;
static size_t pool_requests, request_bytes;
static uint32_t request_commands; /* each has a reply */
static char input[LINE_BYTES + INPUT_BYTES];
static char same[SAME_BYTES];
static size_t same_bytes;
static uint64_t to_send, ends_ns, in_flight, replies, nulls;
static uint64_t histogram[64 * STEPS], batches, longest_ns;
static int epoll;

/* ---- the pool of requests */

static size_t random_number(void) {
    static uint64_t state = 0x9E3779B97F4A7C15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % options.keys;
}

/* Bytes of a word, with its digits in place. */
static size_t word_bytes(const char *word) {
    size_t bytes = strlen(word);
    for (const char *at = word; (at = strstr(at, RANDOM)); at += strlen(RANDOM))
        bytes += DIGITS - strlen(RANDOM);
    return bytes;
}

/* Writes a command to `out`, or only measures it when that is NULL. Returns its size. */
static size_t write_command(char *out, char **words, int count) {
    size_t bytes = 0;
    char head[32];
    for (int number = -1; number < count; number++) {
        size_t length = number < 0 ? (size_t)count : word_bytes(words[number]);
        size_t head_bytes = (size_t)snprintf(head, sizeof head, "%c%zu\r\n", number < 0 ? '*' : '$', length);
        if (out)
            memcpy(out + bytes, head, head_bytes);
        bytes += head_bytes;
        if (number < 0)
            continue;
        if (!out) {
            bytes += length + 2;
            continue;
        }
        const char *word = words[number];
        for (const char *at; (at = strstr(word, RANDOM)); word = at + strlen(RANDOM)) {
            char digits[32];
            memcpy(out + bytes, word, (size_t)(at - word));
            bytes += (size_t)(at - word);
            snprintf(digits, sizeof digits, "%0*zu", DIGITS, random_number());
            memcpy(out + bytes, digits, DIGITS);
            bytes += DIGITS;
        }
        memcpy(out + bytes, word, strlen(word));
        bytes += strlen(word);
        memcpy(out + bytes, "\r\n", 2);
        bytes += 2;
    }
    return bytes;
}

/* The same for a request, and counts its commands. */
static size_t write_request(char *out, char **words, int count) {
    size_t bytes = 0;
    request_commands = 0;
    for (int first = 0, end; first < count; first = end + 1) {
        for (end = first; end < count && strcmp(words[end], NEXT); end++)
            ;
        bytes += write_command(out ? out + bytes : NULL, words + first, end - first);
        request_commands++;
    }
    return bytes;
}

static void fill_pool(char **words, int count) {
    request_bytes = write_request(NULL, words, count);
    pool_requests = POOL_REQUESTS;
    if (pool_requests > POOL_BYTES / request_bytes)
        pool_requests = POOL_BYTES / request_bytes;
    pool_requests -= pool_requests % options.depth;
    if (!pool_requests)
        pool_requests = options.depth;
    pool = malloc(pool_requests * request_bytes);
    if (!pool)
        fail("no memory for %zu requests of %zu bytes", pool_requests, request_bytes);
    for (size_t number = 0; number < pool_requests; number++)
        write_request(pool + number * request_bytes, words, count);
}

/* ---- sending */

static void watch(struct connection *c, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->socket, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

/* Sends what it can of the batch; the rest when the socket has room again. `waited`: it is watched for that already. */
static void send_rest(struct connection *c, int waited) {
    ssize_t sent = send(c->socket, c->unsent, c->unsent_bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        fail("send: %s", strerror(errno));
    if (sent > 0) {
        c->unsent += sent;
        c->unsent_bytes -= (size_t)sent;
    }
    if (c->unsent_bytes && !waited)
        watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    if (!c->unsent_bytes && waited)
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

static void send_batch(struct connection *c, uint64_t now) {
    uint32_t count = to_send < options.depth ? (uint32_t)to_send : options.depth;
    if (!count || now >= ends_ns)
        return;
    c->unsent = pool + c->next * request_bytes;
    c->unsent_bytes = count * request_bytes;
    c->next = (c->next + options.depth) % pool_requests;
    c->awaited = count * request_commands;
    c->departed_ns = now;
    to_send -= count;
    in_flight += count * request_commands;
    send_rest(c, 0);
}

/* ---- replies */

static void record(uint64_t ns) {
    int shift = ns < STEPS ? 0 : 63 - __builtin_clzll(ns) - 6; /* leaves 64 to 127 */
    histogram[shift * STEPS / 2 + (ns >> shift)]++;
    batches++;
    if (ns > longest_ns)
        longest_ns = ns;
}

/* Microseconds within which `share` of the batches were answered. */
static double percentile(double share) {
    uint64_t wanted = (uint64_t)(share * (double)batches + 0.999999), seen = 0;
    for (size_t place = 0; place < sizeof histogram / sizeof *histogram; place++) {
        seen += histogram[place];
        if (seen >= wanted && seen) {
            int shift = place < STEPS ? 0 : (int)(place / (STEPS / 2)) - 1;
            double low = (double)((uint64_t)(place - (size_t)shift * STEPS / 2) << shift);
            return (low + (double)((1ull << shift) - 1) / 2) / 1e3;
        }
    }
    return 0;
}

static void count_reply(struct connection *c) {
    if (!c->awaited)
        fail("more replies than requests");
    c->awaited--;
    in_flight--;
    replies++;
}

/* A value has been read whole, or the head of an array of `more` values. */
static void count_value(struct connection *c, uint64_t more) {
    c->elements = (c->elements ? c->elements : 1) - 1 + more;
    if (!c->elements)
        count_reply(c);
}

/* Reads a line without its line end. */
static void read_line(struct connection *c, const char *line, size_t bytes) {
    long long number = -1;
    char *end = NULL;
    if (*line == '$' || *line == '*') {
        number = strtoll(line + 1, &end, 10); /* ends at the line end, which is there */
        if (end != line + bytes || number < -1)
            fail("no RESP: %.*s", (int)bytes, line);
        nulls += number == -1;
    }
    if (*line == '-')
        fail("error reply: %.*s", (int)bytes, line);
    if (*line == '+' || *line == ':' || number == -1)
        count_value(c, 0);
    else if (*line == '*')
        count_value(c, (uint64_t)number);
    else
        c->skip = (uint64_t)number + 2;
}

/* Counts the replies between `at` and `end` and keeps what is unfinished. */
static void scan(struct connection *c, const char *at, const char *end) {
    const char *begin = at; /* of the reply, when it began here */
    uint64_t nulls_before = nulls;
    int begun_here = !c->elements && !c->skip;
    while (at < end) {
        if (c->skip) {
            size_t bytes = c->skip < (uint64_t)(end - at) ? (size_t)c->skip : (size_t)(end - at);
            at += bytes;
            c->skip -= bytes;
            if (!c->skip)
                count_value(c, 0);
        } else if (!c->elements && same_bytes && (size_t)(end - at) >= same_bytes && !memcmp(at, same, same_bytes)) {
            at += same_bytes;
            count_reply(c);
            begin = at;
            begun_here = 1;
            continue;
        } else {
            if (!strchr("+-:$*", *at) || !*at)
                fail("no RESP: byte %d", *at);
            const char *line_end = memchr(at, '\n', (size_t)(end - at));
            if (!line_end) {
                if (end - at >= LINE_BYTES)
                    fail("no RESP: a line of more than %d bytes: %.40s", LINE_BYTES, at);
                c->line_bytes = (size_t)(end - at);
                memcpy(c->line, at, c->line_bytes);
                return;
            }
            if (line_end == at + 1 || line_end[-1] != '\r')
                fail("no RESP: a line without CR");
            read_line(c, at, (size_t)(line_end - 1 - at));
            at = line_end + 1;
        }
        if (c->elements || c->skip)
            continue;
        if (begun_here && (size_t)(at - begin) <= SAME_BYTES && nulls == nulls_before) {
            same_bytes = (size_t)(at - begin);
            memcpy(same, begin, same_bytes);
        }
        begin = at;
        begun_here = 1;
        nulls_before = nulls;
    }
}

static void receive(struct connection *c) {
    size_t kept = c->line_bytes;
    memcpy(input, c->line, kept);
    ssize_t bytes = recv(c->socket, input + kept, INPUT_BYTES, 0);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (bytes < 0)
        fail("recv: %s", strerror(errno));
    if (!bytes)
        fail("connection closed by the server");
    c->line_bytes = 0;
    uint32_t awaited = c->awaited;
    scan(c, input, input + kept + bytes);
    if (awaited && !c->awaited) {
        uint64_t now = clock_ns();
        record(now - c->departed_ns);
        send_batch(c, now);
    }
}

/* ---- the run */

static int connected(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address))
        fail("connect to port %d: %s", options.port, strerror(errno));
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    return descriptor;
}

static struct connection *connect_all(void) {
    struct connection *all = calloc(options.connections, sizeof *all);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || epoll < 0)
        fail("no memory for %u connections", options.connections);
    for (uint32_t number = 0; number < options.connections; number++) {
        struct connection *c = all + number;
        c->socket = connected();
        c->next = pool_requests / options.depth * number / options.connections * options.depth;
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
    }
    return all;
}

/* Sends and receives until all is answered. Returns nanoseconds. */
static uint64_t run(struct connection *all) {
    struct epoll_event events[EVENTS];
    uint64_t begun = clock_ns();
    to_send = options.requests ? options.requests : UINT64_MAX;
    ends_ns = options.requests ? UINT64_MAX : begun + (uint64_t)(options.seconds * 1e9);
    for (uint32_t number = 0; number < options.connections; number++)
        send_batch(all + number, clock_ns());
    while (in_flight) {
        int ready = epoll_wait(epoll, events, EVENTS, options.patience_ms);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait: %s", strerror(errno));
        if (!ready)
            fail("no reply for %d seconds", options.patience_ms / 1000);
        for (int number = 0; number < ready; number++) {
            struct connection *c = events[number].data.ptr;
            if (events[number].events & EPOLLOUT && c->unsent_bytes)
                send_rest(c, 1);
            if (events[number].events & ~(uint32_t)EPOLLOUT)
                receive(c);
        }
    }
    return clock_ns() - begun;
}

static double microseconds(struct timeval time) {
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

static void print(uint64_t ns, const struct rusage *before, const struct rusage *after) {
    double kernel = microseconds(after->ru_stime) - microseconds(before->ru_stime);
    double cpu = kernel + microseconds(after->ru_utime) - microseconds(before->ru_utime);
    uint64_t requests = replies / request_commands;
    double count = requests ? (double)requests : 1;
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"nulls\": %llu, \"cpu_us\": %.4f, \"kernel_us\": %.4f, ",
           (unsigned long long)requests, (double)ns / 1e9, (unsigned long long)nulls, cpu / count, kernel / count);
    printf("\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, \"longest_us\": %.3f}\n", percentile(0.5),
           percentile(0.99), percentile(0.999), (double)longest_ns / 1e3);
}

static void read_options(int count, char **words) {
    for (int option; (option = getopt(count, words, "+p:c:d:n:s:k:t:")) != -1;) {
        double value = option == '?' ? -1 : atof(optarg);
        switch (option) {
        case 'p': options.port = (int)value; break;
        case 'c': options.connections = (uint32_t)value; break;
        case 'd': options.depth = (uint32_t)value; break;
        case 'n': options.requests = (uint64_t)value; break;
        case 's': options.seconds = value; break;
        case 'k': options.keys = (uint64_t)value; break;
        case 't': options.patience_ms = (int)(value * 1000); break;
        }
        if (value <= 0)
            optind = count + 1;
    }
    int limited = options.requests || options.seconds > 0;
    if (optind >= count || !options.port || !options.connections || !options.depth || !options.keys || !limited) {
        fputs("generator -p PORT [-c CONNECTIONS] [-d DEPTH] [-n REQUESTS | -s SECONDS] [-k KEYS] [-t PATIENCE] WORD...\n",
              stderr);
        exit(2);
    }
}

int main(int count, char **words) {
    struct rusage before, after;
    read_options(count, words);
    fill_pool(words + optind, count - optind);
    struct connection *all = connect_all();
    getrusage(RUSAGE_SELF, &before);
    uint64_t ns = run(all);
    getrusage(RUSAGE_SELF, &after);
    print(ns, &before, &after);
    return 0;
}
