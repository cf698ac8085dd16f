/* A program that is started without standard output (`lapstrake build >&-`) gets one that nobody reads.
 *
 * Rust's runtime would open /dev/null in its place, and results would be lost without a word: writing to this one fails, and not
 * with EPIPE, which is what readers that have had enough leave behind. It has to be there before that runtime begins, which is
 * before any code of Rust.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

__attribute__((constructor)) static void open_closed_output(void) {
    int end;
    if (fcntl(STDOUT_FILENO, F_GETFD) != -1 || (end = epoll_create1(0)) == -1)
        return;
    if (end != STDOUT_FILENO) {
        dup2(end, STDOUT_FILENO);
        close(end);
    }
}
