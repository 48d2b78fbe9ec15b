# SPDX-License-Identifier: MIT
#
# Laws.cmake - with TT_LAWS, one shared library per broken law.
#
# Only the sources that mention TTI_LAW_BROKEN, themselves or in a header, are compiled again
# for each variant; the tests are linked once, against the library in
# build/laws/lib/sound, and tools/laws.sh points them at a broken one with LD_LIBRARY_PATH.

file(GLOB_RECURSE headers CONFIGURE_DEPENDS
	${PROJECT_SOURCE_DIR}/include/*.h ${PROJECT_SOURCE_DIR}/src/*.h)
list(FILTER headers EXCLUDE REGEX "src/base/panic\\.h$")

# Adds to a list of headers those that include one of them, and gives the sources that do.
function(tt_includers_of headers_in ret_sources)
	set(wanted ${headers_in})
	set(found "")
	set(grown ON)
	while(grown)
		set(grown OFF)
		foreach(header IN LISTS wanted)
			get_filename_component(name ${header} NAME)
			string(REPLACE "." "\\." name ${name})
			foreach(file IN LISTS headers tt_sources)
				if(file IN_LIST wanted OR file IN_LIST found)
					continue()
				endif()
				file(STRINGS ${file} lines REGEX "#[ \t]*include.*[\"</]${name}[\">]")
				if(lines AND file IN_LIST headers)
					list(APPEND wanted ${file})
					set(grown ON)
				elseif(lines)
					list(APPEND found ${file})
				endif()
			endforeach()
		endforeach()
	endwhile()
	set(${ret_sources} "${found}" PARENT_SCOPE)
endfunction()

# The sources to compile again for a switch, and the values it is tested against.
# The value is the pattern's group-th group.
function(tt_sources_with pattern group ret_sources ret_values)
	set(touched "")
	set(touched_headers "")
	set(values "")
	foreach(file IN LISTS headers tt_sources)
		set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
		file(STRINGS ${file} lines REGEX "${pattern}")
		if(NOT lines)
			continue()
		endif()
		if(file IN_LIST headers)
			list(APPEND touched_headers ${file})
		else()
			list(APPEND touched ${file})
		endif()
		foreach(line IN LISTS lines)
			string(REGEX REPLACE ".*${pattern}.*" "\\${group}" value "${line}")
			list(APPEND values ${value})
		endforeach()
	endforeach()
	tt_includers_of("${touched_headers}" includers)
	list(APPEND touched ${includers})
	list(REMOVE_DUPLICATES touched)
	list(REMOVE_DUPLICATES values)
	list(SORT values COMPARE NATURAL)
	set(${ret_sources} "${touched}" PARENT_SCOPE)
	set(${ret_values} "${values}" PARENT_SCOPE)
endfunction()

tt_sources_with("TTI_LAW_BROKEN\\(([0-9]+)\\)" 1 law_sources laws)
list(LENGTH law_sources law_sources_count)
list(LENGTH tt_sources sources_count)
message(STATUS "laws ${laws}; ${law_sources_count} of ${sources_count} sources vary")
set(neutral ${tt_sources})
if(law_sources)
	list(REMOVE_ITEM neutral ${law_sources})
endif()
# The assembly keeps its names hidden: what tests it directly gets a copy of its own.
add_library(tt_arch STATIC EXCLUDE_FROM_ALL ${tt_arch_sources})
tt_library_object(tt_arch)

set(neutral_objects "")
if(neutral)
	add_library(tt_neutral OBJECT ${neutral})
	tt_library_object(tt_neutral)
	set(neutral_objects $<TARGET_OBJECTS:tt_neutral>)
endif()

# tt_variant(<name> <compile definition or empty>)
function(tt_variant name definition)
	add_library(tt_${name} SHARED ${neutral_objects} ${law_sources})
	tt_library_object(tt_${name})
	if(definition)
		target_compile_definitions(tt_${name} PRIVATE ${definition})
	endif()
	set_target_properties(tt_${name} PROPERTIES OUTPUT_NAME tutti-variant LINKER_LANGUAGE C
		LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib/${name})
endfunction()

tt_variant(sound "")
set(variants tt_sound)
foreach(n IN LISTS laws)
	tt_variant(law-${n} TT_BREAK_LAW=${n})
	list(APPEND variants tt_law-${n})
endforeach()

add_custom_target(tt_laws DEPENDS ${variants})
