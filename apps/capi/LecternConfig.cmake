# find_package(Lectern) gives the target Lectern::lectern.
include(${CMAKE_CURRENT_LIST_DIR}/LecternTargets.cmake)
