# What is installed beside the library (apps/capi), and the Debian packages made of both:
#   cmake --preset package && cmake --build build/package && cpack --config build/package/CPackConfig.cmake
# makes lectern, liblectern0 and liblectern-dev. Installed files that can drift from the program (manual page,
# completions) are printed by the program itself.
set(packaging ${PROJECT_SOURCE_DIR}/tools/packaging)
set(made ${PROJECT_BINARY_DIR}/packaging)

find_program(GZIP gzip REQUIRED)
add_custom_command(OUTPUT ${made}/lectern.1.gz ${made}/lectern.bash ${made}/_lectern ${made}/lectern.fish ${made}/changelog.gz
  COMMAND ${CMAKE_COMMAND} -E make_directory ${made}
  COMMAND lectern manual | ${GZIP} -9n > ${made}/lectern.1.gz
  COMMAND lectern completion bash > ${made}/lectern.bash
  COMMAND lectern completion zsh > ${made}/_lectern
  COMMAND lectern completion fish > ${made}/lectern.fish
  COMMAND ${GZIP} -9nc ${packaging}/changelog > ${made}/changelog.gz
  DEPENDS lectern ${packaging}/changelog
  COMMENT "Manual page and completions"
  VERBATIM)
add_custom_target(lectern_packaged ALL
  DEPENDS ${made}/lectern.1.gz ${made}/lectern.bash ${made}/_lectern ${made}/lectern.fish ${made}/changelog.gz)

install(TARGETS lectern COMPONENT program)
install(FILES ${made}/lectern.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
install(FILES ${made}/lectern.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME lectern COMPONENT program)
install(FILES ${made}/_lectern DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT program)
install(FILES ${made}/lectern.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT program)
install(FILES ${packaging}/lectern.service DESTINATION lib/systemd/user COMPONENT program)

set(packages program lectern library liblectern0 development liblectern-dev)
while(packages)
  list(POP_FRONT packages component package)
  install(FILES ${packaging}/copyright ${made}/changelog.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
endwhile()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_CONTACT "The Lectern developers <developers@lectern.example>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "ask documents, with citations, by a small local model")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS OFF)
# 0755 for folders whatever the umask of who builds.
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME lectern)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION text)
# Fetching a model, and text from PDFs; everything else works without.
set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "ca-certificates, poppler-utils, python3-pip")
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "Lectern indexes folders of notes, papers and source code, finds the passages
that matter for a question, and lets a small model of the Qwen2 family answer
from them, on this machine. Every citation holds a quote that stands in the
document, word for word.

This package holds the program: command line, HTTP server with a web page,
and MCP server.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME liblectern0)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS "poppler-utils")
# The library's cache is renewed by dpkg's trigger. CPack adds scripts that do it, too, which lintian is told.
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${packaging}/triggers)
install(FILES ${packaging}/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME liblectern0 COMPONENT library)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "Lectern finds the passages of documents that matter for a question, and lets
a small model of the Qwen2 family answer from them, on this machine.

This package holds the shared library, for programs that embed it.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME liblectern-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "liblectern0 (= ${PROJECT_VERSION})")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Lectern finds the passages of documents that matter for a question, and lets
a small model of the Qwen2 family answer from them, on this machine.

This package holds the headers lectern.h and lectern.hpp, and the files by
which CMake and pkg-config find the library.")
include(CPack)
