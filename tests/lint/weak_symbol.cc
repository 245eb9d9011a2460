// What ISA files must not do: an inline function with external linkage.
namespace {
inline int unused() {
  return 0;
}
}  // namespace
inline __attribute__((noinline)) int lectern_lint_weak(int x) {
  return x + unused();
}
int lectern_lint_caller(int x) {
  return lectern_lint_weak(x);
}
