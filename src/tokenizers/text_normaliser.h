#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text_regex.h"

namespace omni::tokenizers {

// The steps that change a text before it is split, in order.
class TextNormaliser {
 public:
  void add_nfc();
  void add_lower_case();
  void add_replacement(Regex pattern, std::string content);
  bool empty() const { return steps_.empty(); }
  std::string operator()(std::string_view text) const;

 private:
  enum class Kind { nfc, lower_case, replacement };
  struct Step {
    Kind kind;
    std::vector<Regex> pattern;  // one for a replacement
    std::string content;
  };
  std::vector<Step> steps_;
};

}  // namespace omni::tokenizers
