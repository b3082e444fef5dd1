#include "omni/training/run_options.h"

#include "omni/core/error.h"

namespace omni::training {

bool goes_on(const EarlierRun& earlier, Resume resume) {
  const std::string output = earlier.output.string();
  if (resume == Resume::no) {
    if (!earlier.finished && !earlier.checkpoint) return false;
    const std::string checkpoint =
        earlier.checkpoint ? concat(" (its checkpoint is '", earlier.checkpoint->string(), "')") : "";
    fail(ErrorKind::usage, "training into '", output, "': it holds an earlier run",
         earlier.finished ? " that is finished" : " that was stopped", checkpoint,
         ". Add --resume to go on with it, or choose another output");
  }
  if (earlier.checkpoint) return true;
  if (earlier.finished)
    fail(ErrorKind::usage, "resuming '", output,
         "': it holds a finished run without a checkpoint, which cannot go on. Choose another output");
  if (resume == Resume::yes)
    fail(ErrorKind::usage, "resuming '", output,
         "': there is no checkpoint. Leave --resume out to start a run, or give --resume auto to go on where "
         "there is one");
  return false;
}

}  // namespace omni::training
