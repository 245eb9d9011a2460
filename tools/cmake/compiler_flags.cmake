# The INTERFACE target every Lectern target links: language level, warnings, sanitizers.
# The program is built for the x86-64-v2 baseline; wider instructions live only in the ISA files
# of kernels/cpu (isa_sources.cmake), chosen at run time.
add_library(lectern_flags INTERFACE)
target_compile_features(lectern_flags INTERFACE cxx_std_20)
target_compile_options(lectern_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Werror -fno-math-errno)
target_include_directories(lectern_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(lectern_flags INTERFACE -Wno-restrict)  # false alarms on "text" + std::string, GCC bug 105651
endif()
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  target_compile_options(lectern_flags INTERFACE -march=x86-64-v2)
endif()
if(LECTERN_SANITIZE)
  target_compile_options(lectern_flags INTERFACE -fsanitize=${LECTERN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(lectern_flags INTERFACE -fsanitize=${LECTERN_SANITIZE})
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
# Checks of ours stay on in every build; assert() is not used.
string(REPLACE "-O2" "-O3" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
string(REPLACE "-g" "-g1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
find_program(LECTERN_CCACHE ccache)
if(LECTERN_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LECTERN_CCACHE})
endif()
