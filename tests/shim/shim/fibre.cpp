#include "shim/fibre.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "omni/core/error.h"
#include "shim/sanitizer.h"

#if !defined(__x86_64__)
#error "the fibres of the kernel shim are written for x86-64"
#endif

// void omni_shim_switch(void** saved_stack_pointer, void* next_stack_pointer): the registers that the System
// V ABI lets a function keep go to the old stack and come from the new one.
asm(R"(
.text
.globl omni_shim_switch
.type omni_shim_switch, @function
omni_shim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size omni_shim_switch, .-omni_shim_switch
)");
extern "C" void omni_shim_switch(void** saved_stack_pointer, void* next_stack_pointer);

namespace omni::shim {
namespace {

// Read once, by a fibre that starts; set by what switched to it just before.
[[gnu::tls_model("initial-exec")]] thread_local Fibre* starting = nullptr;

constexpr std::size_t kSavedRegisters = 6;

}  // namespace

Fibre::Fibre(std::size_t stack_bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  stack_bytes_ = (stack_bytes + page - 1) / page * page;
  memory_bytes_ = stack_bytes_ + page;
  memory_ = ::mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory_ == MAP_FAILED)
    fail(ErrorKind::io, "cannot get ", memory_bytes_, " bytes for a stack: error ", errno);
  ensure(::mprotect(memory_, page, PROT_NONE) == 0, "cannot protect the guard page of a stack: error ",
         errno);
  stack_ = static_cast<char*>(memory_) + page;
}

Fibre::~Fibre() {
  unpoison(stack_, stack_bytes_);
  ::munmap(memory_, memory_bytes_);
}

void Fibre::start(Body body, void* argument) {
  body_ = body;
  argument_ = argument;
  fake_stack_ = nullptr;
  passed_to_ = false;
  if (!ended_) unpoison(stack_, stack_bytes_);
  ended_ = false;
  // On entry the stack pointer is 8 short of a multiple of 16, as after a call.
  auto* top = reinterpret_cast<std::uintptr_t*>(stack_ + stack_bytes_) - 2;
  top[0] = reinterpret_cast<std::uintptr_t>(&Fibre::enter);
  top[1] = 0;
  for (std::size_t i = 1; i <= kSavedRegisters; ++i) *(top - i) = 0;
  stack_pointer_ = top - kSavedRegisters;
}

void Fibre::enter() {
  Fibre& self = *starting;
  self.arrive(nullptr);
  self.body_(self.argument_);
  self.ended_ = true;
  self.leave(nullptr);
}

void Fibre::leave(void** fake_stack) {
  start_switch(fake_stack, resumer_stack_, resumer_stack_bytes_);
  omni_shim_switch(&stack_pointer_, resumer_stack_pointer_);
}

void Fibre::arrive(void* fake_stack) {
  const void* stack = nullptr;
  std::size_t bytes = 0;
  finish_switch(fake_stack, &stack, &bytes);
  if (!passed_to_) {
    resumer_stack_ = stack;
    resumer_stack_bytes_ = bytes;
  }
  passed_to_ = false;
}

void Fibre::resume() {
  starting = this;
  void* fake_stack = nullptr;
  start_switch(&fake_stack, stack_, stack_bytes_);
  omni_shim_switch(&resumer_stack_pointer_, stack_pointer_);
  finish_switch(fake_stack, nullptr, nullptr);
}

void Fibre::suspend() {
  leave(&fake_stack_);
  arrive(fake_stack_);
}

void Fibre::pass_to(Fibre& next) {
  next.resumer_stack_pointer_ = resumer_stack_pointer_;
  next.resumer_stack_ = resumer_stack_;
  next.resumer_stack_bytes_ = resumer_stack_bytes_;
  next.passed_to_ = true;
  starting = &next;
  start_switch(&fake_stack_, next.stack_, next.stack_bytes_);
  omni_shim_switch(&stack_pointer_, next.stack_pointer_);
  arrive(fake_stack_);
}

std::vector<Fibre*> FibrePool::first(std::size_t count) {
  while (fibres_.size() < count) fibres_.push_back(std::make_unique<Fibre>(stack_bytes_));
  std::vector<Fibre*> taken;
  for (std::size_t i = 0; i < count; ++i) taken.push_back(fibres_[i].get());
  return taken;
}

}  // namespace omni::shim
