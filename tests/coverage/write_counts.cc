// Part of naiad._core in `make coverage`: processes that end by _exit, as workers do, write what they have
// counted before (sitecustomize.py).
extern "C" {
// Of clang's profile runtime.
int __llvm_profile_write_file(void);  // NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp)

__attribute__((visibility("default"))) int naiad_write_counts() {
  return __llvm_profile_write_file();
}
}
