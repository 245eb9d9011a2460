// Names for what clients make, and the time as OpenAI's objects carry it. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lectern::server {

// `prefix` and 96 random bits in hexadecimal: nobody guesses one, and it is safe as the name of a file.
std::string new_id(std::string_view prefix);

int64_t unix_time();  // seconds since 1970

}  // namespace lectern::server
