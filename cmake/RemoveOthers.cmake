# pie_remove_others(<folder> files...): the files below `folder` that are not among `files` go.
#
# For folders whose every file is read by somebody (the objects of the guest SDK): what an earlier build put
# there and this one does not must not stay.
function(pie_remove_others folder)
  file(GLOB_RECURSE there LIST_DIRECTORIES false ${folder}/*)
  list(REMOVE_ITEM there ${ARGN})
  if(there)
    file(REMOVE ${there})
  endif()
endfunction()
