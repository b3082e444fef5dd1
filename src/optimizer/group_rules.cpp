#include "omni/optimizer/group_rules.h"

#include <algorithm>

#include "omni/core/error.h"
#include "omni/core/name_pattern.h"

namespace omni::optimizer {
namespace {

constexpr int kGroups = 3;
constexpr const char* kKey = "optimizer_groups";

const GroupRule* rule_of(const nn::ParameterSection& section, const GroupRules& rules) {
  const auto number = static_cast<std::size_t>(section.group / kGroups);
  ensure(number <= rules.size(), "a store was sealed under other rules");
  return number == 0 ? nullptr : &rules[number - 1];
}

}  // namespace

void describe(ConfigVisitor& visitor, GroupRule& rule) {
  visitor.text("pattern", rule.pattern);
  visitor.number("learning_rate_factor", rule.learning_rate_factor, {.minimum = 0, .maximum = 1000});
  visitor.added_later(rule.weight_decay == GroupRule::kUsualDecay, [&](ConfigVisitor& given) {
    given.number("weight_decay", rule.weight_decay, {.minimum = 0, .maximum = 10});
  });
}

int group_number(Group group, std::size_t rule) {
  return static_cast<int>(rule) * kGroups + static_cast<int>(group);
}

Group group_of(const nn::ParameterSection& section) { return static_cast<Group>(section.group % kGroups); }

double learning_rate_factor(const nn::ParameterSection& section, const GroupRules& rules) {
  const GroupRule* rule = rule_of(section, rules);
  return rule == nullptr ? 1 : rule->learning_rate_factor;
}

double weight_decay(const nn::ParameterSection& section, const GroupRules& rules, double usual) {
  const GroupRule* rule = rule_of(section, rules);
  if (rule != nullptr && rule->weight_decay != GroupRule::kUsualDecay) return rule->weight_decay;
  return group_of(section) == Group::plain ? 0 : usual;
}

std::vector<std::size_t> rules_of_parameters(const nn::ParameterStore& parameters, const GroupRules& rules) {
  std::vector<std::size_t> chosen(parameters.all().size(), 0);
  if (rules.empty()) return chosen;
  std::vector<std::string> names, patterns;
  for (const nn::Parameter& parameter : parameters.all())
    if (parameter.trainable) names.push_back(parameter.name);
  for (const GroupRule& rule : rules) patterns.push_back(rule.pattern);
  (void)chosen_by_patterns(patterns, names, kKey);  // refuses one that matches nothing
  std::vector<bool> used(rules.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const nn::Parameter& parameter = parameters.all()[i];
    const auto first = std::find_if(rules.begin(), rules.end(), [&](const GroupRule& rule) {
      return parameter.trainable && matches_pattern(rule.pattern, parameter.name);
    });
    if (first == rules.end()) continue;
    chosen[i] = static_cast<std::size_t>(first - rules.begin()) + 1;
    used[chosen[i] - 1] = true;
  }
  for (std::size_t rule = 0; rule < rules.size(); ++rule)
    if (!used[rule])
      fail(ErrorKind::usage, "'", kKey, "': all that the pattern '", rules[rule].pattern,
           "' matches belongs to patterns before it. Put it before them, or leave it out");
  return chosen;
}

}  // namespace omni::optimizer
