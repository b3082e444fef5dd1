#include "run_options.h"

#include "omni/core/error.h"
#include "omni/distributed/launch_environment.h"

namespace omni::tools {

void add_resume_option(CLI::App& command, training::RunOptions& options) {
  command
      .add_option_function<std::string>(
          "--resume",
          [&options](const std::string& value) {
            if (!value.empty() && value != "auto")
              fail(ErrorKind::usage, "--resume ", value,
                   ": it takes 'auto' or nothing. Give what belongs to the command before it");
            options.resume = value.empty() ? training::Resume::yes : training::Resume::automatic;
          },
          "go on with the run in the output; with 'auto', start it where there is none")
      ->type_name("[auto]")
      ->expected(0, 1);
}

void resume_where_launched_again(training::RunOptions& options) {
  if (options.resume == training::Resume::no && distributed::read_launch_environment().resume_by_default)
    options.resume = training::Resume::automatic;
}

void add_allow_change_option(CLI::App& command, training::RunOptions& options) {
  command
      .add_option("--allow-change", options.allowed_changes,
                  "a key that the resumed run may change, such as schedule.peak_learning_rate; repeatable")
      ->type_name("KEY")
      ->take_all()
      ->expected(1)
      ->needs("--resume");
}

}  // namespace omni::tools
