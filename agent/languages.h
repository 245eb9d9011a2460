// The languages that requests and keywords come in.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace lectern {

// "zh" for a Chinese request (Chinese characters and no kana, not outnumbered by Latin words), else "en": the
// languages the prompts are written in.
std::string_view prompt_language(std::string_view request);

// "Yes" and "No" in the language of the prompt to `request`, as prompts ask for them.
std::array<std::string, 2> yes_and_no(std::string_view request);

// Two-letter code that the script alone tells ("zh", "ja", "ko", "ru", "ar", "hi", "th", "el", "he"); "" for
// Latin script, which many languages share.
std::string_view language_of_script(std::string_view text);

// Name of a language in English or, for prompts == "zh", in Chinese: "German", "德文". The code itself for
// one that the table lacks.
std::string language_name(std::string_view code, std::string_view prompts);

}  // namespace lectern
