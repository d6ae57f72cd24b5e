// Moves the playhead of a turn's timelines while its sound plays; a click on a timeline seeks.
for (const turn of document.querySelectorAll(".turn")) {
  const audio = turn.querySelector("audio");
  const heads = turn.querySelectorAll(".head");
  const draw = () => {
    for (const head of heads) {
      const { start, width, seconds } = head.dataset;
      const x = Number(start) + Math.min(1, audio.currentTime / Number(seconds)) * Number(width);
      head.setAttribute("x1", x);
      head.setAttribute("x2", x);
    }
    if (!audio.paused) requestAnimationFrame(draw);
  };
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    turn.classList.add("playing");
    draw();
  });
  audio.addEventListener("seeked", draw);
  for (const svg of turn.querySelectorAll("svg")) {
    svg.addEventListener("click", (event) => {
      const head = svg.querySelector(".head");
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const share = (x - Number(head.dataset.start)) / Number(head.dataset.width);
      audio.currentTime = Math.max(0, Math.min(1, share)) * Number(head.dataset.seconds);
      audio.play();
    });
  }
}
