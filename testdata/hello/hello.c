/* The smallest useful image is one static binary: this one says who it runs as. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    printf("hello from an image with one file; uid %d, gid %d, pid %d\n", (int)getuid(), (int)getgid(), (int)getpid());
    return 0;
}
