/*
 * A plugin of QEMU's user mode that counts the instructions which a program executes, and prints the sum at its end.
 *
 * Debian ships neither QEMU's plugins nor their header, so what of the interface is used is declared here; it has been
 * the same since QEMU 4.2. Only its version number differs: PLUGIN_VERSION is given by whoever compiles this.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*call)(plugin_id, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*call)(unsigned int, void *),
                                                 int flags, void *data);
extern void qemu_plugin_register_atexit_cb(plugin_id id, void (*call)(plugin_id, void *), void *data);

#define EXPORT __attribute__((visibility("default")))
#define THREADS 256

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

/* By thread, so that none waits for another; far enough apart to share no cache line. */
static struct { uint64_t instructions; uint64_t padding[7]; } counts[THREADS];

static void count(unsigned int thread, void *instructions) {
  counts[thread % THREADS].instructions += (uint64_t)(uintptr_t)instructions;
}

static void translate(plugin_id id, struct qemu_plugin_tb *block) {
  (void)id;
  void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, count, 0, instructions);
}

/* The first thread is the one that computes; the others compile and collect garbage. */
static void report(plugin_id id, void *data) {
  (void)id;
  (void)data;
  fprintf(stderr, "instructions %" PRIu64 "\n", counts[0].instructions);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  (void)argc;
  (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, report, NULL);
  return 0;
}
