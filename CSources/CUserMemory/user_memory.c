/*
 * Whether memory of this process may be touched.
 *
 * The kernel is made to touch a word of each page: it answers EFAULT where we would be killed. Of its calls these are
 * the cheapest that do nothing else, and that no sandbox forbids:
 *
 *   reading   rt_sigprocmask reads the new mask before it refuses a `how` there is not;
 *   writing   FUTEX_WAKE_OP stores `word | 0` atomically; nobody waits on what it then wakes.
 *
 * (process_vm_readv would copy at the same time, but takes five times as long, and sandboxes refuse it.)
 *
 * Most arguments of ioctls lie on the caller's stack: between our own frame and the end of the thread's stack
 * everything is there, and no call is made.
 *
 * Locking: none; where a stack ends is remembered for each thread.
 */
#define _GNU_SOURCE
#include <nouveau/user_memory.h>

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 }; /* the smallest there is */

/* Of the calling thread; both 0: not known. */
struct stack {
    uintptr_t low, end;
    bool asked;
};

static void stack_ask(struct stack *stack)
{
    pthread_attr_t attributes;
    void *low;
    size_t size;

    stack->asked = true;
    if (pthread_getattr_np(pthread_self(), &attributes))
        return;
    if (!pthread_attr_getstack(&attributes, &low, &size)) {
        stack->low = (uintptr_t)low;
        stack->end = (uintptr_t)low + size;
    }
    pthread_attr_destroy(&attributes);
}

/* Lies with the frames that called us. Not so where a coroutine runs on a stack of its own. */
static bool on_stack(uint64_t address, size_t count)
{
    static _Thread_local struct stack stack;
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    if (!stack.asked)
        stack_ask(&stack);
    return here >= stack.low && address >= here && address <= stack.end && count <= stack.end - address;
}

static bool can_read_word(uintptr_t at)
{
    enum { NO_SUCH_HOW = -1, MASK_SIZE = 8 };

    return syscall(SYS_rt_sigprocmask, NO_SUCH_HOW, at & ~(uintptr_t)7, NULL, MASK_SIZE) == 0 || errno != EFAULT;
}

static bool can_write_word(uintptr_t at)
{
    uint32_t nobody = 0;

    return syscall(SYS_futex, &nobody, FUTEX_WAKE_OP_PRIVATE, 0, NULL, at & ~(uintptr_t)3,
                   FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, -1)) >= 0 ||
           errno != EFAULT;
}

/* User space ends below the sign bit on every 64-bit Linux; the first page is left to null pointers. */
static bool is_user(uint64_t address, size_t count)
{
    const uint64_t end = (uint64_t)1 << 63;

    return address >= PAGE && address <= end && count <= end - address;
}

static int check(uint64_t address, size_t count, bool (*can_touch)(uintptr_t))
{
    const int saved = errno;
    uint64_t at = address;
    bool can = true;

    if (!count)
        return 0;
    if (!is_user(address, count))
        return -EFAULT;
    if (on_stack(address, count))
        return 0;
    for (; can && at < address + count; at = (at | (PAGE - 1)) + 1)
        can = can_touch((uintptr_t)at);
    errno = saved;
    return can ? 0 : -EFAULT;
}

int nvu_user_can_read(uint64_t address, size_t count)
{
    return check(address, count, can_read_word);
}

int nvu_user_can_write(uint64_t address, size_t count)
{
    return check(address, count, can_write_word);
}
