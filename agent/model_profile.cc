#include "agent/model_profile.h"

#include <array>
#include <limits>

namespace lectern {
namespace {

constexpr std::array<ModelProfile, 3> kProfiles = {{
    {1.0, 4, 0.75, 1024, 24'000, {0, 0.3, 0.9}, false, true},
    {4.0, 4, 0.75, 1536, 16'000, {0.5, 0.3, 0.9}, false, true},
    {std::numeric_limits<double>::infinity(), 64, 0, 8192, 32'000, {}, true, false},
}};

}  // namespace

const ModelProfile& profile_of(const LanguageModel& model) {
  const double billions = model.billion_parameters();
  if (billions > 0) {
    for (const ModelProfile& profile : kProfiles) {
      if (billions < profile.below_billions) return profile;
    }
  }
  return kProfiles.back();  // unknown: a remote model, as a rule a large one
}

}  // namespace lectern
