# One library per folder: mr_library(delta SOURCES ... DEPS ... TESTS ...). The target is millrace::delta.
# A dependency that is not named here does not link, so the folder graph in docs/architecture.md holds.
#   DEPS          what the folder's headers need, and what its users get with it
#   PRIVATE_DEPS  what only its .cc files include
#   TEST_DEPS     what only its tests include
function(mr_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;PRIVATE_DEPS;TESTS;TEST_DEPS")
  if(arg_SOURCES)
    add_library(millrace_${name} STATIC ${arg_SOURCES})
    set(scope PUBLIC)
    target_link_libraries(millrace_${name} PRIVATE millrace_warnings ${arg_PRIVATE_DEPS})
  else()
    add_library(millrace_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(millrace::${name} ALIAS millrace_${name})
  target_include_directories(millrace_${name} ${scope} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(millrace_${name} ${scope} ${arg_DEPS})
  if(arg_TESTS)
    add_executable(${name}_test ${arg_TESTS})
    target_link_libraries(${name}_test PRIVATE millrace::${name} millrace_warnings ${arg_TEST_DEPS}
      GTest::gmock GTest::gtest_main)
    set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  endif()
endfunction()
