/* Preloaded into a program, makes the processor look like one with AVX2 and without AVX-512, VNNI, BF16 and AMX.
 *
 * The kernel lets the CPUID instruction fault (arch_prctl ARCH_SET_CPUID); the handler executes it and clears the bits.
 * Reads of /proc/cpuinfo get the file CPUINFO, a name that is given when this is compiled. Threads and forks inherit
 * the fault, a program that is executed gets it anew from its own copy of this library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int (*real_sigaction)(int, const struct sigaction *, struct sigaction *);
static struct sigaction wanted; /* the program's own handler of SIGSEGV, used for whatever is no CPUID */

static void set_faulting(int on) { syscall(SYS_arch_prctl, ARCH_SET_CPUID, on ? 0 : 1); }

static void pass_on(int number, siginfo_t *info, void *context) {
    if (wanted.sa_flags & SA_SIGINFO)
        wanted.sa_sigaction(number, info, context);
    else if (wanted.sa_handler != SIG_DFL && wanted.sa_handler != SIG_IGN)
        wanted.sa_handler(number);
    else {
        real_sigaction(number, &wanted, NULL); /* a faulting instruction runs again and meets the default */
        if (info->si_code <= 0)
            raise(number); /* another process or the program itself had sent it */
    }
}

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *code = (const uint8_t *)r[REG_RIP];
    (void)number;
    /* CPUID faults as a general protection fault, which has no address; a jump to nowhere has one. */
    if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
        pass_on(number, info, context);
        return;
    }
    uint32_t leaf = r[REG_RAX], part = r[REG_RCX], a, b, c, d;
    set_faulting(0);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(part));
    set_faulting(1);
    if (leaf == 7 && part == 0) {
        b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31)); /* AVX-512 F ... VL */
        c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14)); /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
        d &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25)); /* AVX512-FP16, AMX */
    }
    if (leaf == 7 && part == 1) {
        a &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(23)); /* AVX-VNNI, AVX512-BF16, AMX-FP16, AVX-IFMA */
        d &= ~(BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19)); /* AVX-VNNI-INT8 and INT16, AMX-COMPLEX, AVX10 */
    }
    if (leaf == 0x1d || leaf == 0x1e || leaf == 0x24) /* tiles of AMX, AVX10 */
        a = b = c = d = 0;
    r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

/* A program's own handler of SIGSEGV (Python's faulthandler, say) is remembered and does not replace ours. */
int sigaction(int number, const struct sigaction *act, struct sigaction *old) {
    if (!real_sigaction)
        real_sigaction = NEXT(sigaction);
    if (number != SIGSEGV)
        return real_sigaction(number, act, old);
    struct sigaction before = wanted;
    if (act)
        wanted = *act;
    if (old)
        *old = before;
    return 0;
}

sighandler_t signal(int number, sighandler_t handler) {
    if (number != SIGSEGV)
        return NEXT(signal)(number, handler);
    sighandler_t before = wanted.sa_handler;
    memset(&wanted, 0, sizeof wanted);
    wanted.sa_handler = handler;
    return before;
}

/* A blocked signal that the processor raises ends the process, so SIGSEGV stays unblocked. */
int pthread_sigmask(int how, const sigset_t *set, sigset_t *old) {
    sigset_t without;
    if (set && how != SIG_UNBLOCK) {
        without = *set;
        sigdelset(&without, SIGSEGV);
        set = &without;
    }
    return NEXT(pthread_sigmask)(how, set, old);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old) {
    sigset_t without;
    if (set && how != SIG_UNBLOCK) {
        without = *set;
        sigdelset(&without, SIGSEGV);
        set = &without;
    }
    return NEXT(sigprocmask)(how, set, old);
}

static const char *shown(const char *path) { return path && !strcmp(path, "/proc/cpuinfo") ? CPUINFO : path; }

#define OPENS(name)                                              \
    int name(const char *path, int flags, ...) {                 \
        va_list rest;                                            \
        va_start(rest, flags);                                   \
        int mode = va_arg(rest, int); /* unused without O_CREAT */ \
        va_end(rest);                                            \
        return NEXT(name)(shown(path), flags, mode);             \
    }
#define OPENS_AT(name)                                           \
    int name(int folder, const char *path, int flags, ...) {     \
        va_list rest;                                            \
        va_start(rest, flags);                                   \
        int mode = va_arg(rest, int);                            \
        va_end(rest);                                            \
        return NEXT(name)(folder, shown(path), flags, mode);     \
    }
#define FOPENS(name)                                             \
    FILE *name(const char *path, const char *mode) { return NEXT(name)(shown(path), mode); }

OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
FOPENS(fopen)
FOPENS(fopen64)

__attribute__((constructor)) static void begin(void) {
    struct sigaction mine;
    if (!real_sigaction)
        real_sigaction = NEXT(sigaction);
    memset(&mine, 0, sizeof mine);
    mine.sa_sigaction = on_fault;
    mine.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    real_sigaction(SIGSEGV, &mine, &wanted);
    set_faulting(1);
}
