# A room is a folder of the library. It sees its own public headers and those of the rooms that it may use, and
# no others: its include path is a view of include/omni made of links to just those folders.
set(OMNI_ROOMS "" CACHE INTERNAL "")

function(omni_room_view target room)
  set(_view "${CMAKE_BINARY_DIR}/views/${target}")
  file(MAKE_DIRECTORY "${_view}/omni")
  foreach(_visible ${room} ${ARGN})
    if(EXISTS "${PROJECT_SOURCE_DIR}/include/omni/${_visible}" AND NOT EXISTS "${_view}/omni/${_visible}")
      file(CREATE_LINK "${PROJECT_SOURCE_DIR}/include/omni/${_visible}" "${_view}/omni/${_visible}" SYMBOLIC)
    endif()
  endforeach()
  target_include_directories(${target} PRIVATE "${_view}")
endfunction()

# omni_add_room(<room> [TORCH] [FOLDERS <folder>...] [MAY_USE <room>...] [LINK <library>...] [SOURCES <file>...])
# FOLDERS: those of src/<room> whose files belong to it, too. SOURCES: these files instead of all of src/<room>.
function(omni_add_room room)
  cmake_parse_arguments(ARG "TORCH" "" "FOLDERS;MAY_USE;LINK;SOURCES" ${ARGN})
  file(GLOB _sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${room}/*.cpp")
  foreach(_folder ${ARG_FOLDERS})
    file(GLOB _more CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${room}/${_folder}/*.cpp")
    list(APPEND _sources ${_more})
  endforeach()
  if(ARG_SOURCES)
    set(_sources ${ARG_SOURCES})
  endif()
  file(GLOB _headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/omni/${room}/*.h")
  if(NOT _sources)
    message(FATAL_ERROR "room ${room} has no sources")
  endif()
  add_library(omni_${room} OBJECT ${_sources} ${_headers})
  omni_room_view(omni_${room} ${room} ${ARG_MAY_USE})
  target_link_libraries(omni_${room} PUBLIC omni_options ${ARG_LINK})
  if(ARG_TORCH)
    target_link_libraries(omni_${room} PUBLIC LibTorch::cpu)
    target_precompile_headers(omni_${room} REUSE_FROM omni_torch_pch)
  else()
    target_precompile_headers(omni_${room} REUSE_FROM omni_standard_pch)
  endif()
  set_property(TARGET omni_${room} PROPERTY OMNI_MAY_USE "${ARG_MAY_USE}")
  set_property(TARGET omni_${room} PROPERTY OMNI_TORCH "${ARG_TORCH}")
  set(OMNI_ROOMS "${OMNI_ROOMS};${room}" CACHE INTERNAL "")
endfunction()

# omni_add_precompiled_header(<name> <libraries> <header>...): what omni_use_precompiled_header takes.
function(omni_add_precompiled_header name libraries)
  add_library(${name} OBJECT "${PROJECT_SOURCE_DIR}/src/precompiled.cpp")
  target_link_libraries(${name} PUBLIC omni_options ${libraries})
  target_precompile_headers(${name} PRIVATE ${ARGN})
endfunction()

# A precompiled header for an executable. Its flags must be those of the rooms' objects: -fPIC, not -fPIE.
function(omni_use_precompiled_header target header)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${target} PRIVATE -fPIC)
  target_precompile_headers(${target} REUSE_FROM ${header})
endfunction()

# Under ThreadSanitizer, makes it see what OpenMP's threads wait for.
function(omni_show_openmp_to_sanitizer test)
  if(NOT OMNI_SANITIZE MATCHES "thread")
    return()
  endif()
  if(NOT TARGET openmp_for_thread_sanitizer)
    add_library(openmp_for_thread_sanitizer OBJECT "${PROJECT_SOURCE_DIR}/tests/support/openmp_for_thread_sanitizer.cpp")
    target_link_libraries(openmp_for_thread_sanitizer PRIVATE omni_options)
  endif()
  target_link_libraries(${test} PRIVATE openmp_for_thread_sanitizer)
endfunction()

# Registers the suites of a test program that are neither slow nor need a GPU, each as one fast test <name>.<suite>.
function(omni_add_fast_suites test name)
  set(_listed "${CMAKE_CURRENT_BINARY_DIR}/${test}_suites.cmake")
  add_custom_command(TARGET ${test} POST_BUILD BYPRODUCTS "${_listed}" VERBATIM
    COMMAND ${CMAKE_COMMAND} "-DTEST=$<TARGET_FILE:${test}>" "-DFILTER=-*Slow.*:*Gpu.*" "-DNAME=${name}" "-DINTO=${_listed}"
      -P "${PROJECT_SOURCE_DIR}/cmake/list_suites.cmake")
  # A program that is not built is a test that fails.
  set(_include "${CMAKE_CURRENT_BINARY_DIR}/${test}_include.cmake")
  file(WRITE "${_include}" "if(EXISTS \"${_listed}\")\n  include(\"${_listed}\")\nelse()\n"
    "  add_test(${test}_NOT_BUILT ${test}_NOT_BUILT)\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${_include}")
endfunction()

# omni_add_room_tests(<room>): tests/<room>/*_test.cpp become test_<room>, which links that room and those below it.
# Tests whose suite name ends in "Slow" are labelled slow; those that end in "Gpu", which need one, gpu: a process each.
function(omni_add_room_tests room)
  file(GLOB _sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${room}/*.cpp")
  if(NOT _sources)
    return()
  endif()
  get_property(_may_use TARGET omni_${room} PROPERTY OMNI_MAY_USE)
  get_property(_torch TARGET omni_${room} PROPERTY OMNI_TORCH)
  add_executable(test_${room} ${_sources})
  omni_room_view(test_${room} ${room} ${_may_use})
  target_include_directories(test_${room} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support" "${PROJECT_SOURCE_DIR}/src/${room}")
  # What is linked is the closure: a room that the tested one uses may itself use others.
  set(_linked ${room} ${_may_use})
  foreach(_used ${_may_use})
    get_property(_deeper TARGET omni_${_used} PROPERTY OMNI_MAY_USE)
    list(APPEND _linked ${_deeper})
  endforeach()
  list(REMOVE_DUPLICATES _linked)
  foreach(_used ${_linked})
    target_link_libraries(test_${room} PRIVATE omni_${_used})
    get_property(_used_torch TARGET omni_${_used} PROPERTY OMNI_TORCH)
    if(_used_torch)
      set(_torch TRUE)
    endif()
  endforeach()
  target_link_libraries(test_${room} PRIVATE omni_test_options)
  omni_show_openmp_to_sanitizer(test_${room})
  if(_torch)
    omni_use_precompiled_header(test_${room} omni_torch_test_pch)
  else()
    omni_use_precompiled_header(test_${room} omni_test_pch)
  endif()
  # EXPECT_* after an if without braces is GoogleTest's own idiom.
  target_compile_options(test_${room} PRIVATE -Wno-dangling-else)
  target_compile_definitions(test_${room} PRIVATE
    OMNI_TEST_FIXTURES="${PROJECT_SOURCE_DIR}/tests/fixtures"
    OMNI_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    OMNI_SHARED_DIR="${PROJECT_SOURCE_DIR}/../shared")
  include(GoogleTest)
  omni_add_fast_suites(test_${room} ${room})
  gtest_discover_tests(test_${room} TEST_FILTER "*Slow.*" TEST_SUFFIX ".slow" PROPERTIES LABELS "slow" TIMEOUT 900
    DISCOVERY_TIMEOUT 120 TEST_LIST test_${room}_slow)
  gtest_discover_tests(test_${room} TEST_FILTER "*Gpu.*" TEST_SUFFIX ".gpu" PROPERTIES LABELS "gpu" TIMEOUT 900
    DISCOVERY_TIMEOUT 120 TEST_LIST test_${room}_gpu)
endfunction()
