const box = document.querySelector('#q'), list = document.querySelector('#found');
if (box) fetch('/search.json').then(answer => answer.json()).then(notes => {
  box.oninput = () => list.replaceChildren(...notes
    .filter(note => box.value && note.title.includes(box.value)).slice(0, 20).map(note => {
      const item = document.createElement('li'), link = document.createElement('a');
      link.href = note.path; link.textContent = note.title; item.append(link); return item;
    }));
});
