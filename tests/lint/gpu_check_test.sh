#!/bin/bash
# tools/gpu_check.sh without a GPU: its steps are printed, and with programs that stand in for the real ones it goes on
# after failures and reports each for what it is.
#   tests/lint/gpu_check_test.sh [BUILD_FOLDER PROGRAM...]: the steps must call these programs of that build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=$(mktemp -d "${TMPDIR:-/tmp}/gpu-check-test-XXXXXX")
trap 'rm -rf "$folder"' EXIT
fail() { echo "gpu_check_test: $*" >&2; exit 1; }

steps=$(tools/gpu_check.sh --dry-run --passkeys --model small.gguf)
for wanted in "cmake --preset cuda" "unit_cuda" "memcheck" "racecheck" "bench_cuda" "eval devices" "bench engine --device cuda" \
  "--model small.gguf" "--extend dca" "--tokens 1000000" "attention-recall" "--refine"; do
  grep -qF -- "$wanted" <<<"$steps" || fail "no step has '$wanted'"
done
if [ $# -gt 0 ]; then
  steps_there=$(tools/gpu_check.sh --dry-run --build "$1")
  shift
  for wanted in "$@"; do grep -qF -- "$wanted" <<<"$steps_there" || fail "no step calls $wanted"; done
fi
[ "$(grep -c 'eval needle' <<<"$steps")" = 4 ] || fail "pass keys are looked for in four lengths"
grep -q 'eval needle' <<<"$(tools/gpu_check.sh --dry-run --model small.gguf)" && fail "pass keys take too long to be looked for unasked"
grep -q "cmake" <<<"$(tools/gpu_check.sh --dry-run --no-build)" && fail "--no-build builds"
for wrong in "--minutes 0" "--minutes soon" "--report" "--what"; do
  # shellcheck disable=SC2086  # two words
  if tools/gpu_check.sh --dry-run $wrong 2>/dev/null; then fail "$wrong is taken"; fi
done

program() { # program PATH: its script is on stdin
  mkdir -p "$(dirname "$folder/$1")"
  { echo '#!/bin/bash'; cat; } >"$folder/$1"
  chmod +x "$folder/$1"
}
program bin/nvidia-smi <<<'case $* in *compute_cap*) echo 9.0 ;; *) echo "a GPU" ;; esac'
program bin/compute-sanitizer <<<'case $* in *racecheck*) exit 99 ;; esac'
program build/tests/unit/cuda/unit_cuda <<<'echo "SKIPPED: no CUDA device"'
program build/tests/bench/bench_cuda <<<'echo "SKIPPED: no CUDA device"'
program build/lectern <<'PROGRAM'
case $* in
  "eval devices"*tiny* | "eval devices"*qwen2_tied*)
    echo '{"prompt": {"mean_kl_divergence": 1e-05}, "decoding": {"mean_kl_divergence": 0.002}}' ;;
  "eval devices"*) echo '{"prompt":{"mean_kl_divergence":0.2},"decoding":{"mean_kl_divergence":0.002}}' ;;
  "bench engine"*32000*) echo '{"error": "too long"}'; exit 2 ;;
  "bench engine"*clients*) kill -KILL $$ ;; # as timeout does in the end
  "bench engine"*) echo '{"prefill_tok_s": 1234.5}' ;;
  "eval perplexity"*) echo '{}' ;;
esac
PROGRAM
export PATH=$folder/bin:$PATH
code=0
tools/gpu_check.sh --no-build --minutes 1 --build "$folder/build" --report "$folder/report.md" --model some.gguf \
  >"$folder/out" 2>&1 || code=$?
[ $code = 1 ] || { cat "$folder/out"; fail "exit code $code, not 1"; }
report=$(cat "$folder/report.md")
expect() { grep -qE -- "$1" <<<"$report" || { echo "$report"; fail "the report does not say '$1'"; }; }
expect '^\| The device \| passed \|'
expect '^\| Tests of the label cuda \| failed: SKIPPED: no CUDA device \|'
expect '^\| CPU and GPU agree: tiny model \| passed \|'
expect '^\| CPU and GPU agree: some \| failed: KL divergence of 0.2, more than 0.01 \|'
expect '^\| Speed: some \| passed \|'
expect '^\| Speed, long prompt: some \| failed: exit code 2 \|'
expect '^\| compute-sanitizer memcheck \| passed \|'
expect '^\| Kernels \| failed: SKIPPED: no CUDA device \|'
expect '^\| Several clients: some \| (failed: not done|stopped) after [0-9]+ s'
expect '^\| compute-sanitizer racecheck \| failed: exit code 99 \|'
expect '^    .*lectern bench engine --device cuda --model some.gguf --prefill 512'
expect '"prefill_tok_s": 1234.5'
# What is not there is skipped, and fails nothing by itself.
rm "$folder/build/tests/bench/bench_cuda"
tools/gpu_check.sh --no-build --minutes 1 --build "$folder/build" --report "$folder/report.md" --model some.gguf >/dev/null 2>&1 || true
report=$(cat "$folder/report.md")
expect '^\| Kernels \| skipped: .*bench_cuda is not there \|'
echo "gpu_check: as it should be"
