# lectern_test(NAME LABELS a;b SOURCES x.cc y.cc LIBRARIES lib...): one Catch2 program, each TEST_CASE a CTest test.
# A test that cannot run on this machine prints "SKIPPED: why" (LECTERN_SKIP) and is counted as skipped by CTest.
include(Catch)
function(lectern_test name)
  cmake_parse_arguments(ARG "" "WORKING_DIRECTORY" "LABELS;SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE lectern_flags lectern_test_main ${ARG_LIBRARIES})
  # Catch2's assertions are large templates: optimising the test files themselves only costs build time.
  target_compile_options(${name} PRIVATE -O1 -g0)
  target_compile_definitions(${name} PRIVATE LECTERN_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  catch_discover_tests(${name}
    TEST_PREFIX "${name}: "
    PROPERTIES LABELS "${ARG_LABELS}" SKIP_REGULAR_EXPRESSION "SKIPPED: " TIMEOUT 600)
endfunction()
