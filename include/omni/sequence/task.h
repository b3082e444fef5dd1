#pragma once

#include <string>
#include <vector>

#include "omni/core/config.h"
#include "omni/core/random.h"
#include "omni/sequence/document.h"

namespace omni::sequence {

// One segment of a task. `source` tells which member of the training example fills it: segments with the same
// source and modality show the same object (image segments draw different views).
struct TaskSegment {
  Modality modality = Modality::text;
  bool loss = false;
  double drop_rate = 0;           // share of documents in which a condition is replaced by <drop>
  bool view = false;              // images: azimuth and elevation are given (else <any>)
  std::string source = "target";  // "target", or "before" for the object that an edit starts from
};

struct Task {
  std::string name;  // "text->shape"
  std::vector<TaskSegment> segments;
  double joint_drop_rate = 0;  // share of documents in which every condition is dropped
};
// Reads `name`, `segments` and `joint_drop_rate`. A task that names no segments is the built-in one of that
// name after resolve_task().
void describe(ConfigVisitor& visitor, Task& task);
Task resolve_task(Task task);

// Throws Error(usage): no name, no segment, no segment that carries loss, a segment that both carries loss
// and may be dropped, a view on something else than an image, a rate outside 0 .. 1.
void check_task(const Task& task);

// Whether the task generates segments of that modality.
bool makes(const Task& task, Modality modality);

// Whether the task is an edit: some segment shows the object "before".
bool is_editing_task(const Task& task);

// The built-in tasks by name. Conditions are dropped in a tenth of the documents, and all together in another
// tenth where there are several, so that every guidance weight has its unconditional counterpart; throws
// Error(usage) with the nearest name for an unknown one.
Task built_in_task(const std::string& name);
std::vector<std::string> built_in_task_names();
// The task of that name among `own`, else the built-in one. Throws Error(usage) with the nearest name and all
// names.
Task find_task(const std::string& name, const std::vector<Task>& own);

// Which segments are dropped in one document: independent drops, then the joint one. Only conditions are
// dropped.
std::vector<bool> draw_drops(const Task& task, CounterRng& rng);

}  // namespace omni::sequence
