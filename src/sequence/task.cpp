#include "omni/sequence/task.h"

#include <algorithm>

#include "omni/core/error.h"

namespace omni::sequence {
namespace {

constexpr double kDropRate = 0.1;

TaskSegment condition(Modality modality, bool view = false, std::string source = "target") {
  return {
      .modality = modality, .loss = false, .drop_rate = kDropRate, .view = view, .source = std::move(source)};
}

TaskSegment target(Modality modality, bool view = false) {
  return {.modality = modality, .loss = true, .view = view};
}

std::vector<Task> make_built_in_tasks() {
  constexpr Modality text = Modality::text, image = Modality::image, shape = Modality::shape;
  const double joint = kDropRate;
  return {
      {"text->image", {condition(text), target(image)}},
      {"text->image@view", {condition(text), target(image, true)}},
      {"image->text", {condition(image), target(text)}},
      {"text->shape", {condition(text), target(shape)}},
      {"shape->text", {condition(shape), target(text)}},
      {"image->shape", {condition(image), target(shape)}},
      {"image@view->shape", {condition(image, true), target(shape)}},
      {"image@view*2->shape", {condition(image, true), condition(image, true), target(shape)}, joint},
      {"image@view*4->shape",
       {condition(image, true), condition(image, true), condition(image, true), condition(image, true),
        target(shape)},
       joint},
      {"text+image->shape", {condition(text), condition(image), target(shape)}, joint},
      {"text+image@view->shape", {condition(text), condition(image, true), target(shape)}, joint},
      {"shape->image", {condition(shape), target(image)}},
      {"shape->image@view", {condition(shape), target(image, true)}},
      {"image@view->image@view", {condition(image, true), target(image, true)}},
      {"text->image->shape", {condition(text), target(image), target(shape)}},
      {"text->image@view->shape", {condition(text), target(image, true), target(shape)}},
      {"text->image->shape->image@view",
       {condition(text), target(image), target(shape), target(image, true)}},
      {"shape+text->shape", {condition(shape, false, "before"), condition(text), target(shape)}, joint},
      {"image+text->image", {condition(image, false, "before"), condition(text), target(image)}, joint},
      {"image@view+text->image@view",
       {condition(image, true, "before"), condition(text), target(image, true)},
       joint},
  };
}

const std::vector<Task>& built_in_tasks() {
  static const std::vector<Task> tasks = make_built_in_tasks();
  return tasks;
}

[[noreturn]] void reject(const Task& task, std::string_view reason) {
  fail(ErrorKind::usage, "checking the task \"", task.name, "\": ", reason, ".");
}

bool is_rate(double value) { return value >= 0 && value <= 1; }

}  // namespace

void describe(ConfigVisitor& visitor, Task& task) {
  visitor.text("name", task.name);
  visitor.list(
      "segments", task.segments.size(), [&](std::size_t size) { task.segments.assign(size, {}); },
      [&](ConfigVisitor& item, std::size_t index) {
        TaskSegment& segment = task.segments[index];
        std::string modality(modality_name(segment.modality));
        item.choice("modality", modality, {"text", "image", "shape"});
        segment.modality = parse_modality(modality);
        item.flag("loss", segment.loss);
        item.number("drop_rate", segment.drop_rate, {.minimum = 0, .maximum = 1});
        item.flag("view", segment.view);
        item.choice("source", segment.source, {"target", "before"});
      });
  visitor.number("joint_drop_rate", task.joint_drop_rate, {.minimum = 0, .maximum = 1});
}

Task resolve_task(Task task) {
  if (!task.segments.empty()) {
    check_task(task);
    return task;
  }
  Task known = built_in_task(task.name);
  if (task.joint_drop_rate > 0) known.joint_drop_rate = task.joint_drop_rate;
  return known;
}

void check_task(const Task& task) {
  if (task.name.empty()) reject(task, "it has no name");
  if (task.segments.empty()) reject(task, "it has no segments");
  if (!is_rate(task.joint_drop_rate)) reject(task, "its joint drop rate is outside 0 .. 1");
  bool any_loss = false;
  for (const TaskSegment& segment : task.segments) {
    any_loss = any_loss || segment.loss;
    if (!is_rate(segment.drop_rate)) reject(task, "a drop rate is outside 0 .. 1");
    if (segment.loss && segment.drop_rate > 0) reject(task, "a segment that carries loss cannot be dropped");
    if (segment.view && segment.modality != Modality::image) reject(task, "only images have a view");
    if (segment.source != "target" && segment.source != "before") {
      reject(task, "the source of a segment is neither \"target\" nor \"before\"");
    }
    if (segment.source == "before" && segment.modality == Modality::text) {
      reject(task, "a text tells the edit and cannot have the source \"before\"");
    }
  }
  if (!any_loss) reject(task, "none of its segments carries loss, so nothing would be learnt");
}

bool makes(const Task& task, Modality modality) {
  return std::any_of(task.segments.begin(), task.segments.end(), [&](const TaskSegment& segment) {
    return segment.loss && segment.modality == modality;
  });
}

bool is_editing_task(const Task& task) {
  return std::any_of(task.segments.begin(), task.segments.end(),
                     [](const TaskSegment& segment) { return segment.source == "before"; });
}

Task built_in_task(const std::string& name) { return find_task(name, {}); }

Task find_task(const std::string& name, const std::vector<Task>& own) {
  std::vector<std::string> names;
  for (const std::vector<Task>* tasks : {&own, &built_in_tasks()}) {
    for (const Task& task : *tasks) {
      if (task.name == name) return task;
      names.push_back(task.name);
    }
  }
  const std::string near = nearest_word(name, names);
  std::string all;
  for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
  fail(ErrorKind::usage, "choosing a task: \"", name, "\" is not known. ",
       near.empty() ? "" : "Did you mean \"" + near + "\"? ", "Tasks here: ", all, ".");
}

std::vector<std::string> built_in_task_names() {
  std::vector<std::string> names;
  for (const Task& task : built_in_tasks()) names.push_back(task.name);
  return names;
}

std::vector<bool> draw_drops(const Task& task, CounterRng& rng) {
  std::vector<bool> dropped(task.segments.size(), false);
  for (std::size_t i = 0; i < task.segments.size(); ++i) {
    if (!task.segments[i].loss) dropped[i] = rng.chance(task.segments[i].drop_rate);
  }
  if (rng.chance(task.joint_drop_rate)) {
    for (std::size_t i = 0; i < task.segments.size(); ++i) dropped[i] = !task.segments[i].loss;
  }
  return dropped;
}

}  // namespace omni::sequence
