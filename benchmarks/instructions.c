/* QEMU plugin: counts the instructions that an aarch64 program executes between two marks, by class.
 *
 * The program marks by lseek(-4242, 0, whence), which does nothing else: SEEK_SET begins, SEEK_CUR writes a line to
 * stderr. Declarations are those of QEMU's plugin interface, version 1 (qemu-plugin.h, which Debian does not package).
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t Id;
typedef struct qemu_plugin_tb Block;
typedef struct qemu_plugin_insn Instruction;
typedef void OnBlock(Id, Block *);
typedef void OnSyscall(Id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(Id, OnBlock *);
void qemu_plugin_register_vcpu_syscall_cb(Id, OnSyscall *);
void qemu_plugin_register_vcpu_tb_exec_inline(Block *, int operation, void *counter, uint64_t increment);
size_t qemu_plugin_tb_n_insns(const Block *);
Instruction *qemu_plugin_tb_get_insn(const Block *, size_t);
const void *qemu_plugin_insn_data(const Instruction *);

enum { DOT, SIMD, MEMORY, SCALAR, CLASSES };
enum { ADD_U64 = 0, LSEEK = 62, MARK = -4242 };

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
static uint64_t counts[CLASSES];

/* By the encoding index of the Arm Architecture Reference Manual for A-profile, C4.1. */
static int class_of(uint32_t word)
{
    unsigned group = word >> 25 & 15;
    if ((group & 7) == 7) {
        int by_vector = (word & 0x9FE0FC00) == 0x0E809400;  /* SDOT, UDOT (vector) */
        int by_element = (word & 0x9FC0F400) == 0x0F80E000; /* SDOT, UDOT (by element) */
        return by_vector || by_element ? DOT : SIMD;
    }
    return (group & 5) == 4 ? MEMORY : SCALAR;
}

static void on_block(Id id, Block *block)
{
    uint64_t found[CLASSES] = {0};
    for (size_t index = 0; index < qemu_plugin_tb_n_insns(block); index++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, index)), sizeof word);
        found[class_of(word)]++;
    }
    for (int each = 0; each < CLASSES; each++)
        if (found[each])
            qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counts[each], found[each]);
}

static void on_syscall(Id id, unsigned vcpu, int64_t number, uint64_t file, uint64_t offset, uint64_t whence,
                       uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    if (number != LSEEK || (int32_t)file != MARK)
        return;
    if (whence == SEEK_SET)
        memset(counts, 0, sizeof counts);
    else
        fprintf(stderr, "instructions: %lu %lu %lu %lu\n", counts[DOT], counts[SIMD], counts[MEMORY], counts[SCALAR]);
}

int qemu_plugin_install(Id id, const void *info, int argc, char **argv)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    return 0;
}
