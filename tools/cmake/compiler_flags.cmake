# The INTERFACE target every Lectern target links: language level, warnings, sanitizers.
# Warnings are errors where the preset sets CMAKE_COMPILE_WARNING_AS_ERROR: where Lectern is developed, not
# where it is only built, with whatever compiler.
# The program is built for the x86-64-v2 baseline; wider instructions live only in the ISA files
# of kernels/cpu (isa_sources.cmake), chosen at run time.
add_library(lectern_flags INTERFACE)
target_compile_features(lectern_flags INTERFACE cxx_std_20)
target_compile_options(lectern_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wno-missing-field-initializers;-fno-math-errno>
  # CMake 3.25 has no name for CUDA's C++20; what nvcc generates for the host is not pedantic.
  $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-Wall,-Wextra>)
target_include_directories(lectern_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(lectern_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)  # false alarms on "text" + std::string, GCC bug 105651
endif()
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(lectern_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-march=x86-64-v2> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-march=x86-64-v2>)
endif()
# Tables of addresses are read-only once the program has started.
target_link_options(lectern_flags INTERFACE LINKER:-z,relro,-z,now)
if(LECTERN_SANITIZE)
  target_compile_options(lectern_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${LECTERN_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=all>)
  target_link_options(lectern_flags INTERFACE -fsanitize=${LECTERN_SANITIZE})
endif()
if(LECTERN_FUZZ)
  target_compile_options(lectern_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# The shared library shows its C functions only, and calls inside it need no detour (apps/capi).
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
string(REPLACE "-g" "-g1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
find_program(LECTERN_CCACHE ccache)
if(LECTERN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LECTERN_CCACHE})
endif()
