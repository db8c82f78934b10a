/* Hands elements over to clients that wait for them, and takes the time from a push's departure to the arrival of what
   some waiter gets by it.

       handover -p PORT [-w WAITERS] [-d DEPTH] [-n HANDOVERS] [-t PATIENCE] WAIT-WORD... ";" PUSH-WORD...

   Every waiter sends the first command, and again as soon as it has its reply; the pusher keeps DEPTH pushes under way,
   at most as many as there are waiters. Prints a JSON object in one line: handovers, seconds, p50_us, p99_us, longest_us.
   Exit status 1, and a line that says why: an error reply, a closed connection, nothing for PATIENCE seconds. 2: the
   command line.

   Invariants:
   1. `pushed[n % DEPTH_MOST]` is the departure of push n; the n-th reply to a waiter is counted to it. At depth 1 that is
      exact, else as if elements overtook no other.
   2. A reply is taken when it is whole; `have` bytes of the next one lie in its connection's buffer. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

enum { REPLY_BYTES = 1024, REQUEST_BYTES = 4096, DEPTH_MOST = 1024, EVENTS = 64, SETTLE_MS = 300 };

struct connection {
    int socket;
    size_t have;
    char reply[REPLY_BYTES];
};

struct request {
    size_t bytes;
    char text[REQUEST_BYTES];
};

static int port, epoll, patience_ms = 10000;
static uint32_t waiters = 1, depth = 1;
static uint64_t wanted = 1000, pushes, handovers;
static uint64_t pushed[DEPTH_MOST], *taken_ns;
static struct request wait_request, push_request;

static void write_request(struct request *request, char **words, int count) {
    request->bytes = (size_t)snprintf(request->text, REQUEST_BYTES, "*%d\r\n", count);
    for (int number = 0; number < count; number++) {
        size_t left = REQUEST_BYTES - request->bytes;
        int bytes = snprintf(request->text + request->bytes, left, "$%zu\r\n%s\r\n", strlen(words[number]), words[number]);
        if ((size_t)bytes >= left)
            fail("a command of more than %d bytes", REQUEST_BYTES);
        request->bytes += (size_t)bytes;
    }
}

static void send_request(struct connection *c, const struct request *request) {
    if (send(c->socket, request->text, request->bytes, MSG_NOSIGNAL) != (ssize_t)request->bytes)
        fail("send: %s", strerror(errno)); /* one small request is on its way at a time: the socket has room */
}

/* Bytes of the reply at `at`, 0 while it is not whole. */
static size_t reply_bytes(const char *at, const char *end) {
    const char *begin = at;
    for (long long values = 1; values; values--) {
        const char *line_end = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (!line_end)
            return 0;
        if (*at == '-')
            fail("error reply: %.*s", (int)(line_end - at), at);
        long long number = *at == '$' || *at == '*' ? strtoll(at + 1, NULL, 10) : 0;
        values += *at == '*' && number > 0 ? number : 0;
        int bulk = *at == '$' && number >= 0;
        at = line_end + 1;
        if (bulk && end - at < number + 2)
            return 0;
        at += bulk ? number + 2 : 0;
    }
    return (size_t)(at - begin);
}

/* Receives; returns the number of replies that have become whole. */
static uint32_t receive(struct connection *c) {
    uint32_t count = 0;
    ssize_t bytes = recv(c->socket, c->reply + c->have, REPLY_BYTES - c->have, MSG_DONTWAIT);
    if (bytes < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (bytes <= 0)
        fail("connection closed by the server");
    c->have += (size_t)bytes;
    for (size_t length; (length = reply_bytes(c->reply, c->reply + c->have)); count++) {
        c->have -= length;
        memmove(c->reply, c->reply + length, c->have);
    }
    if (c->have == REPLY_BYTES)
        fail("a reply of more than %d bytes", REPLY_BYTES);
    return count;
}

static void push(struct connection *pusher) {
    while (pushes < wanted && pushes - handovers < depth) {
        pushed[pushes++ % DEPTH_MOST] = clock_ns();
        send_request(pusher, &push_request);
    }
}

static void connect_one(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->socket < 0 || connect(c->socket, (struct sockaddr *)&address, sizeof address))
        fail("connect to port %d: %s", port, strerror(errno));
    setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->socket, &event))
        fail("epoll_ctl: %s", strerror(errno));
}

static uint64_t run(struct connection *all) {
    struct connection *pusher = all + waiters;
    struct epoll_event events[EVENTS];
    for (uint32_t number = 0; number < waiters; number++)
        send_request(all + number, &wait_request);
    usleep(SETTLE_MS * 1000); /* until they wait: one that comes late finds its element all the same */
    uint64_t begun = clock_ns();
    push(pusher);
    while (handovers < wanted) {
        int ready = epoll_wait(epoll, events, EVENTS, patience_ms);
        if (!ready)
            fail("nothing was handed over for %d seconds", patience_ms / 1000);
        for (int number = 0; number < ready; number++) {
            struct connection *c = events[number].data.ptr;
            uint32_t count = receive(c);
            if (c == pusher || !count)
                continue;
            taken_ns[handovers] = clock_ns() - pushed[handovers % DEPTH_MOST];
            handovers++;
            send_request(c, &wait_request);
            push(pusher);
            if (handovers == wanted)
                break;
        }
    }
    return clock_ns() - begun;
}

static int in_order(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

int main(int count, char **words) {
    for (int option; (option = getopt(count, words, "+p:w:d:n:t:")) != -1;) {
        double value = option == '?' ? -1 : atof(optarg);
        switch (option) {
        case 'p': port = (int)value; break;
        case 'w': waiters = (uint32_t)value; break;
        case 'd': depth = (uint32_t)value; break;
        case 'n': wanted = (uint64_t)value; break;
        case 't': patience_ms = (int)(value * 1000); break;
        }
        if (value <= 0)
            optind = count + 1;
    }
    int next = optind;
    while (next < count && strcmp(words[next], ";"))
        next++;
    if (optind >= count || next + 1 >= count || !port || !waiters || !depth || depth > DEPTH_MOST || !wanted) {
        fputs("handover -p PORT [-w WAITERS] [-d DEPTH] [-n HANDOVERS] [-t PATIENCE] WAIT-WORD... \";\" PUSH-WORD...\n", stderr);
        return 2;
    }
    if (depth > waiters)
        depth = waiters;
    write_request(&wait_request, words + optind, next - optind);
    write_request(&push_request, words + next + 1, count - next - 1);
    struct connection *all = calloc(waiters + 1, sizeof *all);
    taken_ns = calloc(wanted, sizeof *taken_ns);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!all || !taken_ns || epoll < 0)
        fail("no memory");
    for (uint32_t number = 0; number <= waiters; number++)
        connect_one(all + number);
    double seconds = (double)run(all) / 1e9;
    qsort(taken_ns, wanted, sizeof *taken_ns, in_order);
    printf("{\"handovers\": %llu, \"seconds\": %.6f, \"p50_us\": %.3f, \"p99_us\": %.3f, \"longest_us\": %.3f}\n",
           (unsigned long long)wanted, seconds, (double)taken_ns[wanted / 2] / 1e3,
           (double)taken_ns[wanted - 1 - wanted / 100] / 1e3, (double)taken_ns[wanted - 1] / 1e3);
    return 0;
}
