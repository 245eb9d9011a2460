# Writes OUTPUT, a C++ source that holds every file of FOLDER as bytes: the table kNAMEFiles of
# apps/server/embedded_files.h.
# Run with: cmake -DFOLDER=apps/server/web -DNAME=Web -DOUTPUT=web_files.cc -P embed_files.cmake
file(GLOB files RELATIVE ${FOLDER} ${FOLDER}/*)
list(SORT files)
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS files)
  file(READ ${FOLDER}/${file} bytes HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND arrays "const char kFile${number}[] = {\n${bytes}'\\0'};\n")
  string(APPEND table "    {\"${file}\", {kFile${number}, sizeof(kFile${number}) - 1}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "// Generated from a folder by tools/cmake/embed_files.cmake.
#include \"apps/server/embedded_files.h\"

namespace lectern::server {
namespace {
${arrays}const EmbeddedFile k${NAME}FileTable[] = {
${table}};
}  // namespace

const std::span<const EmbeddedFile> k${NAME}Files(k${NAME}FileTable);

}  // namespace lectern::server
")
