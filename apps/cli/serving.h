// What `serve` and `mcp` have in common.
#pragma once

#include <string_view>

#include "apps/cli/command.h"
#include "apps/server/service.h"

namespace lectern::cli {

// The model, its helper and how they compute, as the options of models ask. Throws Error when the helper is
// not there or no model.
server::ModelHostOptions served_models(const Program& program, double idle_minutes);

// Warns of folders that are not served, and of a model that is not there or whose file is no good; `without`:
// what that means to the user, "searches need no model".
void warn_of_what_is_missing(Program& program, const server::Service& service, std::string_view without);

}  // namespace lectern::cli
