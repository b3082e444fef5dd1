#pragma once

#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/nn/parameters.h"

namespace omni::optimizer {

// How a parameter is optimised.
enum class Group : int {
  decayed,     // by AdamW, with weight decay
  plain,       // by AdamW, without
  orthogonal,  // by Muon
};

// What is different for the parameters whose names match a pattern. Of several rules the first that matches
// counts.
struct GroupRule {
  static constexpr double kUsualDecay = -1;

  std::string pattern;              // see core/name_pattern.h
  double learning_rate_factor = 1;  // on the schedule's
  double weight_decay =
      kUsualDecay;  // of all of them, vectors and tables, too; the usual one: as without a rule
};
void describe(ConfigVisitor& visitor, GroupRule& rule);
using GroupRules = std::vector<GroupRule>;

// The number of the group of a section that a store was sealed with: how it is optimised, and by which rule.
int group_number(Group group, std::size_t rule);  // 0: by none; else its place among the rules, from 1
Group group_of(const nn::ParameterSection& section);
double learning_rate_factor(const nn::ParameterSection& section, const GroupRules& rules);
// `usual`: of the groups `decayed` and `orthogonal` without a rule.
double weight_decay(const nn::ParameterSection& section, const GroupRules& rules, double usual);

// The number of the rule for each parameter of a store, as above; 0 for those that are not trained. Throws
// Error(usage) for a rule that none is left for.
std::vector<std::size_t> rules_of_parameters(const nn::ParameterStore& parameters, const GroupRules& rules);

}  // namespace omni::optimizer
