#include <array>

#include "omni/core/config.h"
#include "omni/core/error.h"
#include "omni/data/object_source.h"

namespace omni::data {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"train", "new_instance", "unseen_colour",
                                                    "unseen_attribute", "unseen_count"};

}  // namespace

std::string_view split_name(Split split) { return kNames[static_cast<std::size_t>(split)]; }

std::vector<std::string> split_names() { return {kNames.begin(), kNames.end()}; }

Split parse_split(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Split>(i);
  const std::string near = nearest_word(name, split_names());
  fail(ErrorKind::usage, "reading a split: \"", name, "\" is none of train, new_instance, unseen_colour, ",
       "unseen_attribute, unseen_count.", near.empty() ? "" : " Did you mean \"" + near + "\"?");
}

}  // namespace omni::data
