# The CUDA language and toolkit, where LECTERN_CUDA is on. CMAKE_CUDA_ARCHITECTURES and CMAKE_CUDA_COMPILER (or CUDACXX)
# may be given; "80;90a": machine code for both, and code that newer devices translate when it is first loaded.
if(NOT LECTERN_CUDA)
  return()
endif()
find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDACXX PATHS /usr/local/cuda/bin DOC "The CUDA compiler")
if(NOT CMAKE_CUDA_COMPILER)
  message(FATAL_ERROR "LECTERN_CUDA needs nvcc of the CUDA Toolkit 12.0 or newer, and none was found. Install it from "
    "https://developer.nvidia.com/cuda-downloads (packages cuda-nvcc, cuda-cudart-dev and libcublas-dev of a version), "
    "name it with -DCMAKE_CUDA_COMPILER=/path/to/nvcc, or build with -DLECTERN_CUDA=OFF.")
endif()
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES "80;90a" CACHE STRING "Compute capabilities to compile the CUDA kernels for")
endif()
if(LECTERN_CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${LECTERN_CCACHE})
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.0)
  message(FATAL_ERROR "LECTERN_CUDA needs nvcc 12.0 or newer, which knows C++20; ${CMAKE_CUDA_COMPILER} is "
    "${CMAKE_CUDA_COMPILER_VERSION}.")
endif()
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
find_package(CUDAToolkit 12.0 REQUIRED)
if(NOT TARGET CUDA::cublasLt)
  message(FATAL_ERROR "LECTERN_CUDA needs cuBLASLt, which is not beside ${CMAKE_CUDA_COMPILER}; install libcublas-dev of "
    "CUDA ${CMAKE_CUDA_COMPILER_VERSION}.")
endif()
