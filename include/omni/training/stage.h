#pragma once

#include <span>
#include <string_view>

namespace omni::training {

// What distinguishes one stage of training from the others.
struct Stage {
  std::string_view name;  // of its subcommand, and the key 'stage' of its files
  std::string_view help;
  bool starts_fresh;  // from random weights or what `omni init` grew; else from an earlier stage
  bool views;         // whether the vocabulary has the tokens of views
};

std::span<const Stage> stages();                 // in the order in which they follow one another
const Stage& find_stage(std::string_view name);  // throws Error(usage) that lists them

}  // namespace omni::training
