// Checks of options that take numbers, where those of CLI11 let through what is none.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>

namespace lectern::cli {

// As CLI::Range, which also takes "nan".
CLI::Validator number_in(double least, double most);
// For options without a sign, which take "-1" as the largest number, and what is too large as well.
CLI::Validator whole_number(uint64_t most);

// Sets `seed` by --seed.
template <typename Seed>
CLI::Option* add_seed_option(CLI::App* command, Seed& seed, const std::string& description) {
  return command->add_option("--seed", seed, description)
      ->check(whole_number(std::numeric_limits<Seed>::max()));
}

}  // namespace lectern::cli
