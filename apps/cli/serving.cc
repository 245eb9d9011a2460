#include "apps/cli/serving.h"

#include <string>

#include "apps/cli/load_model.h"
#include "base/error.h"

namespace lectern::cli {

server::ModelHostOptions served_models(const Program& program, double idle_minutes) {
  return {.default_model = model_name(program),
          .helper_model = helper_name(program),
          .backend = backend_options(program, 0),
          .extension = context_extension(program),
          .device = device(program),
          .sparse_config = program.options.sparse_config,
          .idle_seconds = idle_minutes * 60};
}

void warn_of_what_is_missing(Program& program, const server::Service& service, std::string_view without) {
  Output& out = program.output();
  for (const std::string& why : service.skipped()) out.warning(printable(why));
  try {
    open_model_file(program);
  } catch (const Error& error) {
    out.warning(std::string(error.what()) + "; " + std::string(without));
  }
}

}  // namespace lectern::cli
