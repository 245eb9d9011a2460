// The host side of the stand-in: memory that is counted, streams that run at once, graphs that are played
// back.
#include <cstdlib>
#include <functional>
#include <map>
#include <vector>

#include "tests/cuda_emulation/include/cuda_runtime.h"

struct EmulatedGraph {
  std::vector<std::function<void()>> work;
};
struct EmulatedStream {
  EmulatedGraph* capturing = nullptr;
};
struct EmulatedEvent {};

namespace {

struct Device {
  size_t total = size_t{1} << 30, used = 0;
  std::map<void*, size_t> allocations;
};

Device& device() {
  static Device device;
  return device;
}

}  // namespace

void emulate_enqueue(cudaStream_t stream, std::function<void()> work) {
  if (stream != nullptr && stream->capturing != nullptr) {
    stream->capturing->work.push_back(std::move(work));
  } else {
    work();
  }
}

void emulate_device_memory(size_t bytes) {
  device().total = device().used + bytes;
}

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess                 ? "no error"
         : error == cudaErrorMemoryAllocation ? "out of memory"
                                              : "invalid device ordinal";
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
  return index == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (index != 0) return cudaErrorInvalidDevice;
  *properties = {.name = "emulated",
                 .totalGlobalMem = device().total,
                 .major = 9,
                 .minor = 0,
                 .multiProcessorCount = 4,
                 .sharedMemPerBlockOptin = 227 << 10};
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* index) {
  *index = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int index) {
  if (index != 0) return cudaErrorInvalidDevice;
  *value = 227 << 10;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = device().total;
  *free = device().total - device().used;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** at, size_t bytes) {
  Device& d = device();
  if (bytes > d.total - d.used) return cudaErrorMemoryAllocation;
  *at = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*at == nullptr) return cudaErrorMemoryAllocation;
  std::memset(*at, 0xff, bytes);
  d.allocations[*at] = bytes;
  d.used += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* at) {
  Device& d = device();
  if (const auto found = d.allocations.find(at); found != d.allocations.end()) {
    d.used -= found->second;
    d.allocations.erase(found);
    std::free(at);
  }
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** at, size_t bytes) {
  *at = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  return *at != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
cudaError_t cudaFreeHost(void* at) {
  std::free(at);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  emulate_enqueue(stream, [=] { std::memmove(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t stream) {
  emulate_enqueue(stream, [=] {
    for (size_t y = 0; y < height; ++y)
      std::memmove(static_cast<std::byte*>(to) + y * to_pitch,
                   static_cast<const std::byte*>(from) + y * from_pitch, width);
  });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* at, int value, size_t bytes, cudaStream_t stream) {
  emulate_enqueue(stream, [=] { std::memset(at, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new EmulatedStream;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new EmulatedEvent;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capturing = new EmulatedGraph;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capturing;
  stream->capturing = nullptr;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new EmulatedGraph(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  for (const auto& work : executable->work) work();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
