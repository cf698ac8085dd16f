/* A program that is started without standard output (`lapstrake build >&-`) gets one that nobody reads.
 *
 * Rust's runtime would open /dev/null in its place, and results would be lost without a word: writing to this one fails. It has
 * to be there before that runtime begins, which is before any code of Rust.
 */
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void open_closed_output(void) {
    int ends[2];
    if (fcntl(STDOUT_FILENO, F_GETFD) != -1 || pipe(ends) != 0)
        return;
    if (ends[1] != STDOUT_FILENO) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[1]);
    }
    if (ends[0] != STDOUT_FILENO)
        close(ends[0]);
}
