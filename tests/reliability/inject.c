/* Runs a program, and makes one of its system calls fail, or kills it there.
 *
 *   inject [-l LOG] [-n N] [-e ERRNO | -k] [-s] [-c CLASSES] PROGRAM [ARGUMENT…]
 *
 * Calls of these classes are counted over all threads and processes of the program, in the order in which they are made:
 *
 *   m  makes a file or opens one for writing      d  makes a directory or a link
 *   w  writes, allocates, cuts                    s  syncs
 *   n  renames, removes                           a  changes modes and times
 *   o  opens for reading                          r  reads
 *   l  locks
 *
 * Only files and directories count: no pipes, devices, /proc or /sys. With -l each call gets a line, parted by tabs: number, class,
 * name, path, and the old path of what is renamed.
 * The N-th call fails with ERRNO without being made (with -s all calls of these classes from there on), or the program is
 * killed before it is made (-k). Exit code: the program's, or 128 + the signal. For x86-64.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the path of a call is: NONE, a descriptor (FD), a string (PATH), or a string below a descriptor (AT). */
enum where { FD, PATH, AT };

static const struct call {
    long number;
    char class;
    const char *name;
    enum where where;
    int argument;
} calls[] = {
    {SYS_open, 'o', "open", PATH, 0},
    {SYS_openat, 'o', "openat", AT, 0},
    {SYS_openat2, 'o', "openat2", AT, 0},
    {SYS_creat, 'm', "creat", PATH, 0},
    {SYS_mkdir, 'd', "mkdir", PATH, 0},
    {SYS_mkdirat, 'd', "mkdirat", AT, 0},
    {SYS_link, 'd', "link", PATH, 1},
    {SYS_linkat, 'd', "linkat", AT, 2},
    {SYS_symlink, 'd', "symlink", PATH, 1},
    {SYS_symlinkat, 'd', "symlinkat", AT, 1},
    {SYS_write, 'w', "write", FD, 0},
    {SYS_writev, 'w', "writev", FD, 0},
    {SYS_pwrite64, 'w', "pwrite64", FD, 0},
    {SYS_pwritev, 'w', "pwritev", FD, 0},
    {SYS_pwritev2, 'w', "pwritev2", FD, 0},
    {SYS_copy_file_range, 'w', "copy_file_range", FD, 2},
    {SYS_sendfile, 'w', "sendfile", FD, 0},
    {SYS_splice, 'w', "splice", FD, 2},
    {SYS_fallocate, 'w', "fallocate", FD, 0},
    {SYS_ftruncate, 'w', "ftruncate", FD, 0},
    {SYS_truncate, 'w', "truncate", PATH, 0},
    {SYS_fsync, 's', "fsync", FD, 0},
    {SYS_fdatasync, 's', "fdatasync", FD, 0},
    {SYS_syncfs, 's', "syncfs", FD, 0},
    {SYS_sync_file_range, 's', "sync_file_range", FD, 0},
    {SYS_rename, 'n', "rename", PATH, 1},
    {SYS_renameat, 'n', "renameat", AT, 2},
    {SYS_renameat2, 'n', "renameat2", AT, 2},
    {SYS_unlink, 'n', "unlink", PATH, 0},
    {SYS_unlinkat, 'n', "unlinkat", AT, 0},
    {SYS_rmdir, 'n', "rmdir", PATH, 0},
    {SYS_chmod, 'a', "chmod", PATH, 0},
    {SYS_fchmod, 'a', "fchmod", FD, 0},
    {SYS_fchmodat, 'a', "fchmodat", AT, 0},
    {SYS_utimensat, 'a', "utimensat", AT, 0},
    {SYS_flock, 'l', "flock", FD, 0},
    {SYS_read, 'r', "read", FD, 0},
    {SYS_readv, 'r', "readv", FD, 0},
    {SYS_pread64, 'r', "pread64", FD, 0},
    {SYS_getdents64, 'r', "getdents64", FD, 0},
};

static const char *classes = "mdwsn";

static void fail(const char *what) {
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(99);
}

/* A string of the program's memory, page by page, since the next page may not be there. */
static void read_string(pid_t pid, unsigned long at, char *text, size_t room) {
    size_t done = 0;
    text[0] = 0;
    while (done + 1 < room) {
        size_t part = 4096 - (at + done) % 4096;
        if (part > room - 1 - done)
            part = room - 1 - done;
        struct iovec here = {text + done, part}, there = {(void *)(at + done), part};
        ssize_t count = process_vm_readv(pid, &here, 1, &there, 1, 0);
        if (count <= 0)
            break;
        text[done + count] = 0;
        if (memchr(text + done, 0, count))
            return;
        done += count;
    }
}

static void descriptor(pid_t pid, long number, char *text, size_t room) {
    char link[64];
    if ((int)number == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/%d/cwd", pid);
    else
        snprintf(link, sizeof link, "/proc/%d/fd/%d", pid, (int)number);
    ssize_t length = readlink(link, text, room - 1);
    text[length < 0 ? 0 : length] = 0;
}

static int is_file(const char *path) {
    int is_device = !strncmp(path, "/dev/", 5) && strncmp(path, "/dev/shm/", 9);
    return path[0] == '/' && !is_device && strncmp(path, "/proc/", 6) && strncmp(path, "/sys/", 5);
}

/* What the call is about, as an absolute path. */
static void find_path(pid_t pid, const struct call *call, const unsigned long *arguments, char *path, size_t room) {
    if (call->where == FD) {
        descriptor(pid, arguments[call->argument], path, room);
        return;
    }
    char name[4096];
    int at = call->where == AT ? call->argument + 1 : call->argument;
    read_string(pid, arguments[at], name, sizeof name);
    if (name[0] == '/') {
        snprintf(path, room, "%s", name);
        return;
    }
    char below[4096];
    descriptor(pid, call->where == AT ? (long)arguments[call->argument] : AT_FDCWD, below, sizeof below);
    snprintf(path, room, "%s/%s", below, name);
}

/* The path that a renaming takes away. */
static void find_old_path(pid_t pid, const struct call *call, const unsigned long *arguments, char *path, size_t room) {
    struct call old = *call;
    old.argument = 0;
    path[0] = 0;
    if (call->number == SYS_rename || call->number == SYS_renameat || call->number == SYS_renameat2)
        find_path(pid, &old, arguments, path, room);
}

static char class_of(pid_t pid, const struct call *call, const unsigned long *arguments) {
    unsigned long flags = 0;
    if (call->number == SYS_open)
        flags = arguments[1];
    else if (call->number == SYS_openat)
        flags = arguments[2];
    else if (call->number == SYS_openat2) {
        struct open_how how = {0};
        struct iovec here = {&how, sizeof how}, there = {(void *)arguments[2], sizeof how};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) > 0)
            flags = how.flags;
    }
    return (flags & (O_WRONLY | O_RDWR | O_CREAT)) ? 'm' : call->class;
}

static const struct call *call_of(long number) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return &calls[i];
    return NULL;
}

static void filter(void) {
    struct sock_filter code[2 * sizeof calls / sizeof *calls + 8];
    size_t n = 0;
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        /* Any open may turn out to be one for writing. */
        int is_open = calls[i].number == SYS_open || calls[i].number == SYS_openat || calls[i].number == SYS_openat2;
        if (!strchr(classes, calls[i].class) && !(is_open && strchr(classes, 'm')))
            continue;
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i].number, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        fail("seccomp");
}

static int number_of(const char *name) {
    static const struct { const char *name; int number; } errors[] = {
        {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EMFILE", EMFILE}, {"EROFS", EROFS},
        {"EDQUOT", EDQUOT}, {"EFBIG", EFBIG}, {"EACCES", EACCES}, {"EINTR", EINTR},
        {"ENOLCK", ENOLCK},
    };
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(errors[i].name, name))
            return errors[i].number;
    errno = EINVAL;
    fail(name);
    return 0;
}

int main(int count, char **arguments) {
    unsigned long wanted = 0, seen = 0;
    int error = 0, killing = 0, sticky = 0, option;
    FILE *log = NULL;
    while ((option = getopt(count, arguments, "+l:n:e:ksc:")) != -1) {
        switch (option) {
        case 'l':
            if (!(log = fopen(optarg, "we")))
                fail(optarg);
            break;
        case 'n': wanted = strtoul(optarg, NULL, 10); break;
        case 'e': error = number_of(optarg); break;
        case 'k': killing = 1; break;
        case 's': sticky = 1; break;
        case 'c': classes = optarg; break;
        default: return 99;
        }
    }
    pid_t first = fork();
    if (first == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        filter();
        execvp(arguments[optind], arguments + optind);
        fail(arguments[optind]);
    }
    int status;
    waitpid(first, &status, 0);
    long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, first, 0, options))
        fail("ptrace");
    ptrace(PTRACE_CONT, first, 0, 0);
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0)
            fail("waitpid");
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid != first)
                continue;
            if (log)
                fclose(log);
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        }
        int signal = 0;
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8)) {
            struct user_regs_struct registers;
            if (ptrace(PTRACE_GETREGS, pid, 0, &registers))
                continue;
            unsigned long values[] = {registers.rdi, registers.rsi, registers.rdx, registers.r10};
            const struct call *call = call_of(registers.orig_rax);
            char class = call ? class_of(pid, call, values) : 0;
            char path[8300] = "";
            if (class && strchr(classes, class))
                find_path(pid, call, values, path, sizeof path);
            if (is_file(path)) {
                seen++;
                if (log) {
                    char old[8300];
                    find_old_path(pid, call, values, old, sizeof old);
                    fprintf(log, "%lu\t%c\t%s\t%s\t%s\n", seen, class, call->name, path, old);
                    fflush(log);
                }
                if (killing && seen == wanted)
                    kill(first, SIGKILL);
                if (error && (seen == wanted || (sticky && seen > wanted))) {
                    registers.orig_rax = -1;
                    registers.rax = -error;
                    ptrace(PTRACE_SETREGS, pid, 0, &registers);
                }
            }
        } else if (WIFSTOPPED(status) && status >> 16 == 0) {
            /* Stops of threads that begin are no signals of theirs. */
            signal = WSTOPSIG(status);
            if (signal == SIGSTOP || signal == SIGTRAP)
                signal = 0;
        }
        ptrace(PTRACE_CONT, pid, 0, signal);
    }
}
