/* The tool behind every proxy, and Envoy's authorization server: one thread, one epoll loop, as cheap as can be.

   usage: upstream PORT SECONDS      (loopback only; ends by itself after SECONDS)

   POST .../json, .../completions   1 KB of JSON          GET .../sse    50 events, 1 ms apart, chunked
   GET .../blob                     1 MiB                 GET .../gib    1 GiB
   POST .../upload                  reads all, answers 2 bytes
   /authz...                        200, or 403 where the path says "deny"      anything else: 404            */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 16384, SCRATCH = 262144, BLOB = 1 << 20, EVENTS = 50, MOST = 4096 };
enum phase { HEAD, FIXED, SIZE, DATA, DATA_END, TRAILER, ANSWER };

struct conn {
    int fd, used, events_left, slot; /* slot: place in the list of event streams, -1 outside of it */
    enum phase phase;
    char head[HEAD_MAX];
    char path[512];
    long long body_left;             /* of the request, or of its current chunk */
    int line_len;
    const char *out;                 /* what is left to write: out, then stream_left bytes of blob */
    size_t out_left;
    long long stream_left;
    double due;
};

static char blob[BLOB], json[2048], scratch[SCRATCH];
static struct conn *streams[MOST];
static int stream_count, poller;
static const char OK2[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
static const char EMPTY[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static const char DENIED[] = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
static const char MISSING[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
static const char BLOB_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1048576\r\n\r\n";
static const char GIB_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1073741824\r\n\r\n";
static const char SSE_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char EVENT[] = "46\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one more token\"}}]}\n\n\r\n";
static const char LAST_EVENT[] =
    "46\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one more token\"}}]}\n\n\r\n0\r\n\r\n";

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void make_json(void) {
    char body[1025], start[] = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"bench\","
                               "\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\","
                               "\"content\":\"";
    char end[] = "\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}";
    int filler = 1024 - (int)strlen(start) - (int)strlen(end);
    snprintf(body, sizeof body, "%s%.*s%s", start, filler, blob, end);
    snprintf(json, sizeof json, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1024\r\n\r\n%s", body);
}

static void watch(struct conn *c, int events, int op) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    epoll_ctl(poller, op, c->fd, &e);
}

static void leave_streams(struct conn *c) {
    if (c->slot < 0) return;
    streams[c->slot] = streams[--stream_count];
    streams[c->slot]->slot = c->slot;
    c->slot = -1;
}

static void drop(struct conn *c) {
    leave_streams(c);
    close(c->fd);
    c->fd = -1;
    free(c);
}

/* Writes what is pending. 1: all written; 0: the socket is full; -1: the peer is gone. */
static int flush(struct conn *c) {
    while (c->out_left || c->stream_left) {
        int head = c->out_left > 0;
        const char *from = head ? c->out : blob;
        size_t want = head ? c->out_left : (size_t)(c->stream_left < BLOB ? c->stream_left : BLOB);
        ssize_t n = send(c->fd, from, want, MSG_NOSIGNAL | (head && c->stream_left ? MSG_MORE : 0));
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        if (head) c->out += n, c->out_left -= n;
        else c->stream_left -= n;
    }
    return 1;
}

static int answer(struct conn *c, const char *text, size_t len, long long stream) {
    c->out = text, c->out_left = len, c->stream_left = stream;
    int done = flush(c);
    if (done < 0) return -1;
    if (done) c->phase = HEAD;
    else watch(c, EPOLLOUT, EPOLL_CTL_MOD);
    return 0;
}

static int ends(const char *path, const char *with) {
    size_t a = strlen(path), b = strlen(with);
    return a >= b && !strcmp(path + a - b, with);
}

static int route(struct conn *c) {
    c->phase = ANSWER;
    if (!strncmp(c->path, "/authz", 6))
        return strstr(c->path, "deny") ? answer(c, DENIED, sizeof DENIED - 1, 0) : answer(c, EMPTY, sizeof EMPTY - 1, 0);
    if (ends(c->path, "/json") || ends(c->path, "/completions")) return answer(c, json, strlen(json), 0);
    if (ends(c->path, "/upload")) return answer(c, OK2, sizeof OK2 - 1, 0);
    if (ends(c->path, "/blob")) return answer(c, BLOB_HEAD, sizeof BLOB_HEAD - 1, BLOB);
    if (ends(c->path, "/gib")) return answer(c, GIB_HEAD, sizeof GIB_HEAD - 1, 1LL << 30);
    if (!ends(c->path, "/sse") || stream_count == MOST) return answer(c, MISSING, sizeof MISSING - 1, 0);
    c->out = SSE_HEAD, c->out_left = sizeof SSE_HEAD - 1, c->events_left = EVENTS, c->due = now() + 0.001;
    c->slot = stream_count;
    streams[stream_count++] = c;
    return flush(c) < 0 ? -1 : 0;
}

/* Reads one head out of c->head. Bytes used, 0: not all there yet, -1: not HTTP. */
static int read_head(struct conn *c) {
    c->head[c->used] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return c->used >= HEAD_MAX - 1 ? -1 : 0;
    char *from = strchr(c->head, ' '), *to = from ? strpbrk(from + 1, " ?\r") : NULL;
    if (!to || to - from > (long)sizeof c->path) return -1;
    snprintf(c->path, sizeof c->path, "%.*s", (int)(to - from - 1), from + 1);
    c->phase = FIXED, c->body_left = 0;
    for (char *line = strstr(c->head, "\r\n") + 2; line < end; line = strstr(line, "\r\n") + 2) {
        if (!strncasecmp(line, "content-length:", 15)) c->body_left = atoll(line + 15);
        if (!strncasecmp(line, "transfer-encoding:", 18)) c->phase = SIZE, c->line_len = 0;
        if (!strncasecmp(line, "expect:", 7)) send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    }
    return (int)(end + 4 - c->head);
}

/* Eats body bytes; returns how many. The phase is ANSWER when the body is over. */
static size_t read_body(struct conn *c, const char *at, size_t len) {
    size_t i = 0;
    if (c->phase == SIZE && c->line_len == 0) c->body_left = 0;
    while (c->phase != ANSWER) {
        if ((c->phase == FIXED || c->phase == DATA) && c->body_left) {
            size_t n = (long long)(len - i) < c->body_left ? len - i : (size_t)c->body_left;
            i += n, c->body_left -= n;
            if (c->body_left) return i;
        }
        if (c->phase == FIXED) { c->phase = ANSWER; break; }
        if (c->phase == DATA) c->phase = DATA_END;
        if (i == len) return i;
        char b = at[i++];
        if (c->phase == DATA_END) { if (b == '\n') c->phase = SIZE, c->line_len = 0, c->body_left = 0; }
        else if (c->phase == SIZE) {
            if (b == '\n') c->phase = c->body_left ? DATA : TRAILER, c->line_len = 0;
            else if (b != '\r') {
                int digit = b >= '0' && b <= '9' ? b - '0' : (b | 32) >= 'a' && (b | 32) <= 'f' ? (b | 32) - 'a' + 10 : 0;
                c->body_left = c->body_left * 16 + digit, c->line_len++;
            }
        } else if (c->phase == TRAILER) {
            if (b == '\n') { if (!c->line_len) c->phase = ANSWER; c->line_len = 0; }
            else if (b != '\r') c->line_len++;
        }
    }
    return i;
}

static int feed(struct conn *c, const char *at, size_t len) {
    while (len && c->phase != ANSWER) {
        if (c->phase == HEAD) {
            size_t take = len < (size_t)(HEAD_MAX - 1 - c->used) ? len : (size_t)(HEAD_MAX - 1 - c->used);
            memcpy(c->head + c->used, at, take);
            int before = c->used, eaten;
            c->used += (int)take;
            if ((eaten = read_head(c)) < 0) return -1;
            if (!eaten) return 0;
            at += eaten - before, len -= eaten - before, c->used = 0;
        }
        size_t n = read_body(c, at, len);
        at += n, len -= n;
        if (c->phase == ANSWER && route(c) < 0) return -1;
    }
    return len ? -1 : 0; /* more came before the answer was out: nobody here pipelines past a stream */
}

static int readable(struct conn *c) {
    for (;;) {
        ssize_t n = recv(c->fd, scratch, SCRATCH, 0);
        if (n == 0) return -1;
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        if (feed(c, scratch, n) < 0) return -1;
        if (n < SCRATCH) return 0;
    }
}

static void tick(void) {
    double t = now();
    for (int i = stream_count - 1; i >= 0; i--) {
        struct conn *c = streams[i];
        if (c->due > t) continue;
        int done = flush(c);
        if (done == 0) continue;
        if (done > 0) {
            int last = --c->events_left == 0;
            c->out = last ? LAST_EVENT : EVENT, c->out_left = last ? sizeof LAST_EVENT - 1 : sizeof EVENT - 1;
            c->due += 0.001;
            if (c->due < t - 0.005) c->due = t; /* far behind: do not catch up in a burst */
            done = flush(c);
            if (done >= 0 && last) {
                leave_streams(c);
                if (done) c->phase = HEAD;
                else watch(c, EPOLLOUT, EPOLL_CTL_MOD);
            }
        }
        if (done < 0) drop(c);
    }
}

static void greet(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct conn *c = calloc(1, sizeof *c);
        if (!c) abort();
        c->fd = fd, c->slot = -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: upstream PORT SECONDS\n"), 2;
    memset(blob, 'x', sizeof blob);
    make_json();
    alarm((unsigned)atoi(argv[2]));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[1]))};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) || listen(listener, 1024)) return perror("upstream"), 1;
    poller = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, ready[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(poller, ready, 256, stream_count ? 1 : -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ready[i].data.ptr;
            if (!c) { greet(listener); continue; }
            int gone = ready[i].events & (EPOLLERR | EPOLLHUP);
            if (!gone && ready[i].events & EPOLLOUT) {
                int done = flush(c);
                if (done > 0) c->phase = HEAD, watch(c, EPOLLIN, EPOLL_CTL_MOD);
                gone = done < 0;
            } else if (!gone) gone = readable(c) < 0;
            if (gone) drop(c);
        }
        if (stream_count) tick();
    }
}
