# SPDX-License-Identifier: MIT
#
# Tests.cmake - every X_test.c becomes a program and one or more ctest tests.
#
# A file that includes <tutti/testing.h>, or has TT_TEST_MAIN(), is a kit test: its program
# takes --on=BACKEND and --workers=N and is registered once per configuration, as
# "sync.channel:sim4".
# Any other file is a plain program: it exits 0 when it passes. Exit 77 means that the
# machine lacks what the test needs; ctest then counts it as skipped, not passed.
#
# A file may say in a line comment:
#	test-on: sim1 epoll4    the only configurations it runs in
#	test-timeout: 300       seconds, instead of 120
#	test-serial             never beside another test
#	test-labels: wall slow  further ctest labels; children: it starts programs, which neither an
#	                        emulator nor valgrind can follow
#	model-sources: src/...  (tests/model) the sources compiled with it under TT_MODEL; @task,
#	                        @worker, @scope: those layers with what they stand on

set(TT_CONFIGURATIONS sim1 sim4 epoll1 epoll4 uring1 uring4)
set(tt_runner "")
if(TT_SANITIZE MATCHES "thread|memory")
	# clang's TSan and MSan cannot place their shadow under a wide ASLR.
	set(tt_runner ${PROJECT_SOURCE_DIR}/tools/no_aslr.sh)
endif()
set(tt_environment
	UBSAN_OPTIONS=print_stacktrace=1
	TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=0
	ASAN_OPTIONS=detect_stack_use_after_return=0)

# The words after "key:" in the comments of a file, or "" when it does not say.
function(tt_file_says file key ret)
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
	file(STRINGS ${file} lines REGEX "${key}:")
	set(words "")
	foreach(line IN LISTS lines)
		string(REGEX REPLACE ".*${key}:" "" line "${line}")
		string(REPLACE "*/" "" line "${line}")
		string(REGEX MATCHALL "[^ \t]+" found "${line}")
		list(APPEND words ${found})
	endforeach()
	set(${ret} "${words}" PARENT_SCOPE)
endfunction()

# tt_register(<test name> <target> <file> <labels> [arguments...])
function(tt_register name target file labels)
	tt_file_says(${file} "test-timeout" timeout)
	tt_file_says(${file} "test-labels" more)
	file(STRINGS ${file} serial REGEX "test-serial")
	if(NOT timeout)
		set(timeout 120)
	endif()
	if(tt_runner)
		add_test(NAME ${name} COMMAND ${tt_runner} $<TARGET_FILE:${target}> ${ARGN})
	else()
		add_test(NAME ${name} COMMAND ${target} ${ARGN})
	endif()
	set_tests_properties(${name} PROPERTIES
		TIMEOUT ${timeout} SKIP_RETURN_CODE 77
		LABELS "${labels};${more}" ENVIRONMENT "${tt_environment}"
		WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
	if(serial)
		set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)
	endif()
endfunction()

# tt_test(<file> <area, as sync or gateway> <libraries...>)
function(tt_test file area)
	get_filename_component(target ${file} NAME_WE)
	string(REGEX REPLACE "_test$" "" short ${target})
	# Two folders may hold a file of the same name; the target then carries the folder.
	if(TARGET ${target})
		set(target ${area}_${target})
	endif()
	add_executable(${target} ${file})
	target_link_libraries(${target} PRIVATE ${ARGN} tt_flags tt_exported m)
	target_include_directories(${target} PRIVATE ${tt_include_dirs})
	if(TT_LAWS)
		target_link_options(${target} PRIVATE -Wl,--enable-new-dtags)
		add_dependencies(tt_laws ${target})
	endif()

	tt_file_says(${file} "test-on" only)
	file(STRINGS ${file} kit REGEX "#include <tutti/testing\\.h>|^TT_TEST_MAIN\\(")
	if(NOT kit)
		set_property(GLOBAL APPEND PROPERTY TT_TEST_LIST "${area}.${short}|plain|${target}|${file}")
		tt_register(${area}.${short} ${target} ${file} "plain;${area}")
		return()
	endif()
	if(NOT only)
		set(only ${TT_CONFIGURATIONS})
	endif()
	list(JOIN only " " only_text)
	set_property(GLOBAL APPEND PROPERTY TT_TEST_LIST
		"${area}.${short}|${only_text}|${target}|${file}")
	foreach(configuration IN LISTS only)
		string(REGEX MATCH "^([a-z]+)([0-9]+)$" ok ${configuration})
		if(NOT ok)
			message(FATAL_ERROR "${file}: test-on: '${configuration}' is not like sim4")
		endif()
		set(backend ${CMAKE_MATCH_1})
		set(workers ${CMAKE_MATCH_2})
		tt_register(${area}.${short}:${configuration} ${target} ${file}
			"kit;${area};${backend};w${workers}" --on=${backend} --workers=${workers})
	endforeach()
endfunction()

set(tt_library_under_test tutti)
if(TT_LAWS)
	include(Laws)
	set(tt_library_under_test tt_sound tt_arch)
endif()

foreach(file IN LISTS tt_unit_tests)
	get_filename_component(area ${file} DIRECTORY)
	get_filename_component(area ${area} NAME)
	tt_test(${file} ${area} ${tt_library_under_test})
endforeach()

file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/integration/*_test.c)
foreach(file IN LISTS files)
	tt_test(${file} integration ${tt_library_under_test})
endforeach()

# Linearizability: the checker, the generator and the models are linked into each program. Which of
# them a broken law turns red is not one test's claim, so those builds leave them out.
if(NOT TT_LAWS)
	file(GLOB shared CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/linear/*.c)
	file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/linear/*_test.c)
	list(FILTER shared EXCLUDE REGEX "_test\\.c$")
	add_library(tt_linear STATIC ${shared})
	target_include_directories(tt_linear PRIVATE ${tt_include_dirs})
	target_link_libraries(tt_linear PRIVATE tt_flags PUBLIC ${tt_library_under_test})
	foreach(file IN LISTS files)
		tt_test(${file} linear tt_linear ${tt_library_under_test})
	endforeach()
endif()

set(adapters_under_test ${TT_ADAPTERS})
if(TT_LAWS)
	set(adapters_under_test "")
endif()
foreach(adapter IN LISTS adapters_under_test)
	file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/ext/${adapter}/*_test.c)
	foreach(file IN LISTS files)
		tt_test(${file} ext-${adapter} tutti-ext-${adapter} tutti)
	endforeach()
endforeach()

if(TT_GATEWAY)
	file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/apps/gateway/*_test.c)
	foreach(file IN LISTS files)
		tt_test(${file} gateway tutti_gateway_core)
	endforeach()
endif()

# Examples: what each prints is compared with examples/expected/, on both drivers, and its
# app is cut short everywhere in the simulator, unless the file says why not:
#	example-torture: no (...)
if(TT_BUILD_EXAMPLES AND NOT TT_LAWS AND NOT CMAKE_CROSSCOMPILING)
	file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.c)
	foreach(file IN LISTS files)
		get_filename_component(name ${file} NAME_WE)
		if(NOT TARGET ${name})
			continue()
		endif()
		foreach(driver IN ITEMS epoll uring)
			add_test(NAME example.${name}:${driver} COMMAND
				${PROJECT_SOURCE_DIR}/tools/example_check.sh ${driver} $<TARGET_FILE:${name}>
				${PROJECT_SOURCE_DIR}/examples/expected/${name}.txt ${tt_runner})
			set_tests_properties(example.${name}:${driver} PROPERTIES
				TIMEOUT 60 SKIP_RETURN_CODE 77 LABELS "example;${driver}"
				ENVIRONMENT "${tt_environment}")
		endforeach()
		file(STRINGS ${file} exempt REGEX "example-torture: no")
		if(exempt)
			continue()
		endif()
		set(target torture_${name})
		add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/examples/example_torture.c)
		target_compile_definitions(${target} PRIVATE
			EXAMPLE_FILE="${file}" EXAMPLE_NAME="${name}")
		get_target_property(libraries ${name} LINK_LIBRARIES)
		target_link_libraries(${target} PRIVATE ${libraries} tt_exported)
		target_include_directories(${target} PRIVATE ${tt_include_dirs})
		tt_register(example.${name}:sim ${target} ${file} "example;sim" --on=sim --workers=2)
	endforeach()
endif()

# Durability: plain programs on the gateway's parts; what they share is linked into each.
if(TT_GATEWAY)
	file(GLOB shared CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/durability/*.c)
	file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/durability/*_test.c)
	list(FILTER shared EXCLUDE REGEX "_test\\.c$")
	if(files AND shared)
		add_library(tt_durability STATIC ${shared})
		target_include_directories(tt_durability PUBLIC ${PROJECT_SOURCE_DIR}/tests/durability)
		target_link_libraries(tt_durability PRIVATE tt_flags PUBLIC tutti_gateway_core)
	endif()
	foreach(file IN LISTS files)
		tt_test(${file} durability $<TARGET_NAME_IF_EXISTS:tt_durability> tutti_gateway_core)
	endforeach()
endif()

# Model tests: the named sources, the checker and the test are one TT_MODEL program.
# The checker is the scheduler here, so sanitizers and the library stay out. What a model
# asserts is what it proves: assertions are on in every build. Functions of a source that a
# test does not reach are dropped, so that they need not be linked with all they call.
set(model_arch src/arch/x86_64/switch.S src/arch/aarch64/switch.S)
set(model_task src/base/spin.c src/env/env.c src/env/frames.c src/task/task.c src/task/error.c
	src/task/error_text.c src/task/error_trace.c src/wait/wait.c ${model_arch})
set(model_worker src/sched/worker.c src/sched/call.c src/timer/wheel.c src/fiber/fiber.c src/fiber/guard.c
	src/fiber/slab.c src/fiber/overflow.c ${model_task})
set(model_scope src/scope/scope.c src/scope/canceller.c src/scope/group.c src/scope/idle.c
	src/scope/start.c src/scope/restart.c src/scope/local.c ${model_worker})
set(model_options -UTT_NO_ASSERT -UTT_VERIFY -DTT_VERIFY -ffunction-sections -fdata-sections)
if(NOT TT_SANITIZE AND NOT TT_LAWS AND NOT CMAKE_CROSSCOMPILING)
	file(GLOB checker CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/model/*.c)
	list(FILTER checker EXCLUDE REGEX "_test\\.c$")
	file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/model/*_test.c)
	if(files)
		add_library(tt_model_checker OBJECT ${checker})
		target_compile_definitions(tt_model_checker PRIVATE TT_MODEL)
		target_include_directories(tt_model_checker PRIVATE
			${tt_include_dirs} ${PROJECT_SOURCE_DIR}/tests/model)
		target_compile_options(tt_model_checker PRIVATE ${model_options})
		target_link_libraries(tt_model_checker PRIVATE tt_flags tt_exported)
		set_target_properties(tt_model_checker PROPERTIES LINKER_LANGUAGE C)
	endif()
	foreach(file IN LISTS files)
		get_filename_component(short ${file} NAME_WE)
		string(REGEX REPLACE "_test$" "" short ${short})
		tt_file_says(${file} "model-sources" words)
		set(sources "")
		foreach(word IN LISTS words)
			if(word MATCHES "^@(.*)$")
				list(APPEND sources ${model_${CMAKE_MATCH_1}})
			else()
				list(APPEND sources ${word})
			endif()
		endforeach()
		list(TRANSFORM sources PREPEND ${PROJECT_SOURCE_DIR}/)
		set(target model_${short}_test)
		add_executable(${target} ${file} ${sources})
		target_compile_definitions(${target} PRIVATE TT_MODEL)
		target_include_directories(${target} PRIVATE
			${tt_include_dirs} ${PROJECT_SOURCE_DIR}/tests/model)
		target_compile_options(${target} PRIVATE ${model_options})
		target_link_libraries(${target} PRIVATE tt_model_checker tt_flags tt_exported)
		target_link_options(${target} PRIVATE -Wl,--gc-sections)
		tt_register(model.${short} ${target} ${file} "model")
	endforeach()
endif()

# tutti-sim finds, shrinks and repeats a race that was put there for it.
if(TT_BUILD_APPS AND NOT CMAKE_CROSSCOMPILING AND NOT TT_LAWS)
	add_executable(sim_racy ${PROJECT_SOURCE_DIR}/tests/sim/racy.c)
	target_link_libraries(sim_racy PRIVATE tutti tt_flags)
	add_test(NAME tutti-sim COMMAND ${PROJECT_SOURCE_DIR}/tests/sim/runner_check.sh
		$<TARGET_FILE:tutti-sim> $<TARGET_FILE:sim_racy>)
	set_tests_properties(tutti-sim PROPERTIES LABELS plain TIMEOUT 120
		ENVIRONMENT "${tt_environment}")
endif()

# The debugger's view of a program that was stopped.
if(NOT CMAKE_CROSSCOMPILING AND NOT TT_LAWS AND NOT TT_SANITIZE)
	add_executable(gdb_parked ${PROJECT_SOURCE_DIR}/tests/gdb/parked.c)
	target_link_libraries(gdb_parked PRIVATE tutti tt_flags)
	add_test(NAME gdb COMMAND ${PROJECT_SOURCE_DIR}/tests/gdb/gdb_check.sh
		$<TARGET_FILE:gdb_parked> ${PROJECT_SOURCE_DIR}/tools/gdb/tutti-gdb.py)
	set_tests_properties(gdb PROPERTIES LABELS plain TIMEOUT 120 SKIP_RETURN_CODE 77)
endif()

if(NOT CMAKE_CROSSCOMPILING)
	add_executable(deny-uring ${PROJECT_SOURCE_DIR}/tools/deny_uring.c)
	target_link_libraries(deny-uring PRIVATE tt_flags)
endif()

# The tests, one a line (name|configurations or "plain"|program|source), for the tools
# that run them in other ways.
get_property(test_list GLOBAL PROPERTY TT_TEST_LIST)
list(JOIN test_list "\n" test_list)
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/tests.txt CONTENT "${test_list}\n" @ONLY)

# What needs no program of ours: the mechanical checks and the public headers.
find_program(TT_PYTHON python3)
if(TT_PYTHON AND NOT TT_SANITIZE AND NOT TT_LAWS AND NOT CMAKE_CROSSCOMPILING)
	add_test(NAME tidy COMMAND ${TT_PYTHON} ${PROJECT_SOURCE_DIR}/tools/tidy.py
		--build ${PROJECT_BINARY_DIR})
	add_test(NAME tidy.self COMMAND ${TT_PYTHON} ${PROJECT_SOURCE_DIR}/tools/tidy.py --self-test)
	set_tests_properties(tidy tidy.self PROPERTIES LABELS tidy TIMEOUT 300)
endif()
if(NOT CMAKE_CROSSCOMPILING AND NOT TT_SANITIZE AND NOT TT_LAWS)
	add_test(NAME headers COMMAND ${PROJECT_SOURCE_DIR}/tools/headers_check.sh)
	set_tests_properties(headers PROPERTIES LABELS tidy TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()
