#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace omni::shim {

// A function with a stack of its own that can stop in the middle and go on later, all on one thread of the
// operating system. x86-64 only. Under AddressSanitizer every switch is announced to it.
class Fibre {
 public:
  using Body = void (*)(void* argument);

  explicit Fibre(std::size_t stack_bytes);  // rounded up to pages, with a guard page below
  ~Fibre();
  Fibre(const Fibre&) = delete;
  Fibre& operator=(const Fibre&) = delete;

  // Makes the next resume() or pass_to() start body(argument) on the empty stack. What ran there before and has not ended
  // is abandoned without destructors. The body must not let an exception out.
  void start(Body body, void* argument);
  // From outside: runs the fibre until it calls suspend() or its body returns.
  void resume();
  // From inside: goes back to the resume() that runs it.
  void suspend();
  // From inside: suspends itself and runs `next`, in one switch, under the same resume().
  void pass_to(Fibre& next);

 private:
  static void enter();
  void leave(void** fake_stack);
  void arrive(void* fake_stack);

  void* memory_ = nullptr;
  std::size_t memory_bytes_ = 0;
  char* stack_ = nullptr;
  std::size_t stack_bytes_ = 0;
  void* stack_pointer_ = nullptr;
  void* resumer_stack_pointer_ = nullptr;
  const void* resumer_stack_ = nullptr;
  std::size_t resumer_stack_bytes_ = 0;
  void* fake_stack_ = nullptr;
  Body body_ = nullptr;
  void* argument_ = nullptr;
  bool passed_to_ = false;  // what it comes from is another fibre, not the resumer
  bool ended_ = true;       // what runs on the stack has unwound it
};

// Fibres that wait for their next use: making a stack costs more than running a small kernel on it.
class FibrePool {
 public:
  explicit FibrePool(std::size_t stack_bytes) : stack_bytes_(stack_bytes) {}
  // The first `count` fibres, made where there are too few. They stay the pool's.
  std::vector<Fibre*> first(std::size_t count);

 private:
  std::size_t stack_bytes_;
  std::vector<std::unique_ptr<Fibre>> fibres_;
};

}  // namespace omni::shim
