# The bundles compiled in (kernels/cpu/dispatch.cc); the tests force each.
set(LECTERN_ISA_BUNDLES generic)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  list(APPEND LECTERN_ISA_BUNDLES avx2 avx512vnni amx)
endif()

# lectern_isa_source(TARGET BUNDLE FILE...): compiles FILEs of TARGET for one ISA bundle.
# Such a file includes only <immintrin.h>, <cstdint>, <cstddef> and our POD headers, and keeps the rest in an
# anonymous namespace: an inline function compiled with wide instructions could otherwise be linked into the
# whole program. Link-time optimisation stays off for the same reason; tests/lint checks the objects with nm.
set(LECTERN_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(LECTERN_ISA_FLAGS_avx512vnni ${LECTERN_ISA_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
  -Wno-uninitialized)  # GCC 12 warns of its own avx512fintrin.h (GCC bug 105593)
set(LECTERN_ISA_FLAGS_amx ${LECTERN_ISA_FLAGS_avx512vnni} -mamx-tile -mamx-int8)
set(LECTERN_ISA_OPTIONS -O3)
if(LECTERN_FUZZ)
  set(LECTERN_ISA_OPTIONS -O1 -fno-sanitize=all)  # no target multiplies, and instrumenting the tiles takes Clang minutes
endif()
function(lectern_isa_source target bundle)
  foreach(file IN LISTS ARGN)
    set_property(GLOBAL APPEND PROPERTY LECTERN_ISA_SOURCES ${file})  # read by tests/lint
    target_sources(${target} PRIVATE ${file})
    set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${LECTERN_ISA_FLAGS_${bundle}};${LECTERN_ISA_OPTIONS};-fno-exceptions;-fno-lto;-ffp-contract=off")
  endforeach()
endfunction()
